"""Visibility 0/1/2 from the annotation file to the loss; bad files are named."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS

from tests.building import backbone, codec, head


def write_coco(root: Path, keypoints=None, bbox=(10, 5, 60, 80)) -> Path:
    """One image with one person whose first joints have visibility 0, 1, 2."""
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


def dataset(root: Path, **changes):
    pipeline = [
        dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', fixed=(.09, .135)),
        dict(type='TopdownAffine', input_size=(48, 64)), dict(type='GenerateTarget', encoder=codec()),
        dict(type='PackPoseInputs')]
    return DATASETS.build({
        'type': 'mmpose_mspn.CocoDataset', 'data_root': str(root), 'ann_file': 'people.json',
        'data_prefix': dict(img=''), 'pipeline': pipeline, **changes})


def test_visibility_reaches_the_labels(tmp_path):
    item = dataset(write_coco(tmp_path))[0]
    labels = item['data_samples'].gt_instance_labels
    assert labels.keypoint_weights[0, :4].tolist() == [0, 1, 2, 2]
    np.testing.assert_array_equal(item['data_samples'].gt_instances.keypoints_visible[0, :4], [0, 1, 2, 2])


def test_the_stock_data_set_is_caught_by_the_loss(tmp_path):
    item = dataset(write_coco(tmp_path), type='CocoDataset')[0]
    module = head(2)
    batch = pseudo_collate([item] * 2)
    with pytest.raises(ValueError, match="mmpose_mspn.CocoDataset.*visibility='labelled'"):
        module.loss(backbone(2)(batch['inputs'][0][None].float().expand(2, -1, -1, -1)), batch['data_samples'])


def test_boxes_stay_as_annotated(tmp_path):
    info = dataset(write_coco(tmp_path, bbox=(-3, 5, 90, 100))).get_data_info(0)
    np.testing.assert_array_equal(info['bbox'], [[-3, 5, 87, 105]])


def test_box_files_lie_below_the_data_root(tmp_path):
    write_coco(tmp_path)
    (tmp_path / 'boxes.json').write_text(json.dumps([dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=.5)]))
    made = dataset(tmp_path, bbox_file='boxes.json', test_mode=True)
    np.testing.assert_array_equal(made.get_data_info(0)['bbox'], [[1, 2, 31, 42]])


@pytest.mark.parametrize('name', ('ann_file', 'bbox_file'))
def test_a_missing_file_is_named_with_the_remedy(tmp_path, name):
    write_coco(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'{name} .*nowhere.json does not exist.*data_root'):
        dataset(tmp_path, test_mode=True, **{name: 'nowhere.json'})


def test_another_visibility_is_named(tmp_path):
    write_coco(tmp_path, keypoints=[[20, 20, 3]] * 17)
    with pytest.raises(ValueError, match=r'annotation 7 of .*visibility must be 0, 1 or 2, got \[3.0\]'):
        dataset(tmp_path)
