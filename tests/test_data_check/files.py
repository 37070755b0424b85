"""Correct annotation files, and faults that are put into them."""
import json
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Tuple

import cv2
import numpy as np

from mmpose_mspn.data_check.files import DatasetFiles, check_files
from mmpose_mspn.data_check.problems import Report

PERSON = ('annotations', 0)
"""The path of the first person in a COCO file."""


def write_image(path: Path, size: Tuple[int, int] = (64, 48)) -> None:
    """Noise of (w, h) px."""
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), noise)


def coco(**fields: Any) -> dict:
    """Two images of 64 × 48 px with one person each, whose annotations have further fields if they are given."""
    images = [dict(id=number, file_name=f'{number}.jpg', width=64, height=48) for number in (1, 2)]
    people = [
        dict(id=10 * number, image_id=number, category_id=1, iscrowd=0, num_keypoints=2, bbox=[5., 5., 20., 30.],
             keypoints=[10, 10, 2, 12, 20, 1] + [0] * 45, **fields) for number in (1, 2)
    ]
    return dict(images=images, annotations=people, categories=[dict(id=1, name='person')])


def whole_body() -> dict:
    """COCO-WholeBody's fields. The parts are not labeled except for a foot, whose visibility is a fraction."""
    content = coco()
    for annotation in content['annotations']:
        annotation.update(foot_kpts=[0] * 18, face_kpts=[0.] * 204, lefthand_kpts=[0] * 63, righthand_kpts=[0] * 63,
                          segmentation=[])
        annotation['foot_kpts'][:3] = [64, 48, .25]
    return content


def detections() -> list:
    """A detected person, and a detection of another category that nothing reads."""
    return [dict(image_id=1, category_id=1, bbox=[1., 2., 30., 40.], score=.9),
            dict(image_id=77, category_id=3, bbox=[0, 0, 0, 0], score=.1)]


def mpii(**changes: Any) -> dict:
    """A person of an MPII file, in the image 1.jpg."""
    return dict(dict(
        image='1.jpg', center=[32, 24], scale=0.2, joints=[[64, 48]] * 15 + [[-1, -1]],
        joints_vis=[1] * 15 + [0]), **changes)


def change(path: Sequence, value: Any) -> Callable[[dict], None]:
    """A fault: ``value`` at a path in the content."""
    def apply(content: dict) -> None:
        *parents, last = path
        for name in parents:
            content = content[name]
        content[last] = value
    return apply


def check(folder: Path, *box_files: str, file: str = 'coco.json', kind: str = 'CocoDataset',
          progress: bool = False, **options: Any) -> Report:
    """What the check of the files of a dataset finds in a file of a folder, whose images lie beside it."""
    report = Report()
    files = DatasetFiles(kind, str(folder / file), str(folder), tuple(str(folder / name) for name in box_files))
    report.collect(check_files(files, progress=progress, **options))
    return report


def write_and_check(folder: Path, content: dict, boxes: Optional[list] = None, **options: Any) -> Report:
    """Write a COCO file, its two images and a file of detected boxes, and check them."""
    for number in (1, 2):
        write_image(folder / f'{number}.jpg')
    (folder / 'coco.json').write_text(json.dumps(content))
    (folder / 'boxes.json').write_text(json.dumps(detections() if boxes is None else boxes))
    return check(folder, 'boxes.json', **options)
