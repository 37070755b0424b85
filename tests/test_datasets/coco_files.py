"""COCO-style files of one person, and datasets that read them."""
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import cv2
import numpy as np
from mmpose.registry import DATASETS

from tests.building import codec


def write_coco(root: Path, keypoints=None, bbox=(10, 5, 60, 80)) -> Path:
    """One image with one person, whose keypoints have visibility 0, 1 and then 2 unless given."""
    if keypoints is None:
        keypoints = [[20 + 2 * i, 10 + 4 * i, (0, 1, 2)[min(i, 2)]] for i in range(17)]
    root.mkdir(exist_ok=True)
    cv2.imwrite(str(root / 'a.jpg'), np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8))
    annotation = dict(
        id=7, image_id=1, category_id=1, bbox=list(bbox), area=bbox[2] * bbox[3], iscrowd=0,
        num_keypoints=sum(k[2] > 0 for k in keypoints), keypoints=np.array(keypoints).ravel().tolist())
    content = dict(
        images=[dict(id=1, file_name='a.jpg', width=80, height=90)], annotations=[annotation],
        categories=[dict(id=1, name='person')])
    (root / 'people.json').write_text(json.dumps(content))
    return root


@contextmanager
def edited(root: Path) -> Iterator[dict]:
    """The content of the annotation file, which is written with its changes after the block."""
    path = root / 'people.json'
    content = json.loads(path.read_text())
    yield content
    path.write_text(json.dumps(content))


def box(**changes) -> dict:
    """A detected box in the image, for a ``bbox_file``."""
    return dict(dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=.5), **changes)


def dataset(root: Path, **changes):
    """``mmpose_mspn.CocoDataset`` with the official test crop and labels."""
    pipeline = [
        dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', fixed=(.09, .135)),
        dict(type='TopdownAffine', input_size=(48, 64)), dict(type='GenerateTarget', encoder=codec()),
        dict(type='PackPoseInputs')]
    return DATASETS.build({
        'type': 'mmpose_mspn.CocoDataset', 'data_root': str(root), 'ann_file': 'people.json',
        'data_prefix': dict(img=''), 'pipeline': pipeline, **changes})
