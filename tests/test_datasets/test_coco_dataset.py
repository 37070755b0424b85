"""Visibility 0/1/2 from the annotation file to the loss; bad files are named."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS

from mmpose_mspn.datasets.checked_loading import SHARED_FACTS
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
    assert labels.keypoints_visible[0, :4].tolist() == [0, 1, 2, 2]
    np.testing.assert_array_equal(item['data_samples'].gt_instances.keypoints_visible[0, :4], [0, 1, 2, 2])


def test_the_stock_data_set_is_caught_by_the_loss(tmp_path):
    item = dataset(write_coco(tmp_path), type='CocoDataset')[0]
    module = head(2)
    batch = pseudo_collate([item] * 2)
    with pytest.raises(ValueError, match="mmpose_mspn.CocoDataset.*visibility='labeled'"):
        module.loss(backbone(2)(batch['inputs'][0][None].float().expand(2, -1, -1, -1)), batch['data_samples'])


def test_boxes_stay_as_annotated(tmp_path):
    info = dataset(write_coco(tmp_path, bbox=(-3, 5, 90, 100))).get_data_info(0)
    np.testing.assert_array_equal(info['bbox'], [[-3, 5, 87, 105]])


def test_samples_carry_what_stock_ones_do_without_a_copy_for_each(tmp_path):
    ours = dataset(write_coco(tmp_path))
    stock = dataset(tmp_path, type='CocoDataset').get_data_info(0)
    info = ours.get_data_info(0)
    assert set(info) == set(stock)
    for key in SHARED_FACTS:
        assert info[key] is ours._metainfo[key]
        np.testing.assert_array_equal(info[key], stock[key])


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


# ---------------------------------------------------------------- bad input


def change(root: Path, **fields) -> None:
    """Fields of the one annotation; ``None`` drops one."""
    content = json.loads((root / 'people.json').read_text())
    annotation = {**content['annotations'][0], **fields}
    content['annotations'][0] = {name: value for name, value in annotation.items() if value is not None}
    (root / 'people.json').write_text(json.dumps(content))


@pytest.mark.parametrize('content, message', [
    ('', 'ann_file .*people.json is empty: fetch'),
    ('{"images": [', "ann_file .*people.json is not in COCO's format"),
    ('[1, 2]', "ann_file .*people.json is not in COCO's format"),
    ('{}', 'people.json holds nobody to train on: it needs "images" and people'),
])
def test_annotation_files_of_another_content_are_refused(tmp_path, content, message):
    write_coco(tmp_path)
    (tmp_path / 'people.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path)


@pytest.mark.parametrize('fields, reason', [
    (dict(keypoints=None), '1 without keypoints'),
    (dict(keypoints=[0] * 51, num_keypoints=0), '1 without keypoints'),
    (dict(bbox=None), '1 without a box of some size'),
    (dict(bbox=[10, 5, 0, 80]), '1 without a box of some size'),
    (dict(iscrowd=1), '1 of crowds'),
])
def test_people_who_cannot_be_trained_on_are_counted(tmp_path, fields, reason, logged):
    write_coco(tmp_path)
    content = json.loads((tmp_path / 'people.json').read_text())
    content['annotations'].append(dict(content['annotations'][0], id=8))
    (tmp_path / 'people.json').write_text(json.dumps(content))
    change(tmp_path, **fields)
    made = dataset(tmp_path)
    assert [made.get_data_info(number)['id'] for number in range(len(made))] == [8]
    assert logged == [f'{tmp_path}/people.json: 1 people; passed over: {reason}']


def test_a_file_in_which_nobody_is_left_says_why(tmp_path):
    write_coco(tmp_path, bbox=(10, 5, 60, 0))
    with pytest.raises(ValueError, match='holds nobody to train on; passed over: 1 without a box of some size'):
        dataset(tmp_path)


def with_boxes(root: Path, boxes: object):
    (root / 'boxes.json').write_text(json.dumps(boxes))
    return dataset(write_coco(root), bbox_file='boxes.json', test_mode=True)


def box(**changes) -> dict:
    return dict(dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=.5), **changes)


def test_boxes_in_unknown_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'boxes in 2 images that are not in .*people.json, such as \[5, 9\]'):
        with_boxes(tmp_path, [box(), box(image_id=9), box(image_id=5), box(image_id=9)])


def test_boxes_without_a_size_are_counted(tmp_path, logged):
    made = with_boxes(tmp_path, [box(bbox=[1, 2, 0, 40]), box(), box(bbox=[1, 2, 30, -1])])
    assert [made.get_data_info(0)['bbox'].tolist(), len(made)] == [[[1, 2, 31, 42]], 1]
    assert logged == [f'{tmp_path}/boxes.json: 1 people; passed over: 2 without a box of some size']


@pytest.mark.parametrize('boxes, message', [
    (dict(boxes=[]), 'boxes.json must hold a list, got a dict'),
    ([], 'boxes.json holds nobody to test on'),
])
def test_box_files_of_another_content_are_refused(tmp_path, boxes, message):
    with pytest.raises(ValueError, match=message):
        with_boxes(tmp_path, boxes)


@pytest.mark.parametrize('content', [b'', b'not an image', None])
def test_an_image_that_does_not_decode_is_named(tmp_path, content):
    write_coco(tmp_path)
    whole = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').unlink()
    if content is not None:
        (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=r'image .*a.jpg is missing or does not decode.*check_data.py'):
        dataset(tmp_path)[0]
    (tmp_path / 'a.jpg').write_bytes(whole)
    dataset(tmp_path)[0]


def test_other_faults_of_a_pipeline_stay_themselves(tmp_path):
    with pytest.raises(KeyError, match='bbox_scale'):
        dataset(write_coco(tmp_path), pipeline=[dict(type='TopdownAffine', input_size=(8, 8))])[0]
