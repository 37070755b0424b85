"""Problems of files are reported with their names when a dataset is loaded."""
import json
from pathlib import Path

import numpy as np
import pytest

from tests.test_datasets.coco_files import dataset, write_coco


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


def change(root: Path, **fields) -> None:
    """Replace fields of the only annotation; ``None`` removes a field."""
    content = json.loads((root / 'people.json').read_text())
    annotation = {**content['annotations'][0], **fields}
    content['annotations'][0] = {name: value for name, value in annotation.items() if value is not None}
    (root / 'people.json').write_text(json.dumps(content))


@pytest.mark.parametrize('content, message', [
    ('', 'ann_file .*people.json is empty: fetch'),
    ('{"images": [', "ann_file .*people.json is not in COCO's format"),
    ('[1, 2]', "ann_file .*people.json is not in COCO's format"),
    ('{}', 'people.json holds no person to train on: it needs "images" and people'),
])
def test_annotation_files_with_other_content_are_refused(tmp_path, content, message):
    write_coco(tmp_path)
    (tmp_path / 'people.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path)


@pytest.mark.parametrize('fields, reason', [
    (dict(keypoints=None), '1 without keypoints'),
    (dict(keypoints=[0] * 51, num_keypoints=0), '1 without keypoints'),
    (dict(bbox=None), '1 without a box of positive width and height'),
    (dict(bbox=[10, 5, 0, 80]), '1 without a box of positive width and height'),
    (dict(iscrowd=1), '1 marked as crowds'),
])
def test_skipped_people_are_counted(tmp_path, fields, reason, logged):
    write_coco(tmp_path)
    content = json.loads((tmp_path / 'people.json').read_text())
    content['annotations'].append(dict(content['annotations'][0], id=8))
    (tmp_path / 'people.json').write_text(json.dumps(content))
    change(tmp_path, **fields)
    made = dataset(tmp_path)
    assert [made.get_data_info(number)['id'] for number in range(len(made))] == [8]
    assert logged == [f'{tmp_path}/people.json: 1 people; skipped: {reason}']


def test_a_file_without_usable_people_says_why(tmp_path):
    write_coco(tmp_path, bbox=(10, 5, 60, 0))
    with pytest.raises(ValueError, match='holds no person to train on; skipped: 1 without a box of positive width and '
                                         'height: it needs'):
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
    assert logged == [f'{tmp_path}/boxes.json: 1 people; skipped: 2 without a box of positive width and height']


@pytest.mark.parametrize('boxes, message', [
    (dict(boxes=[]), 'boxes.json must hold a list, got a dict'),
    ([], 'boxes.json holds no person to test on'),
])
def test_box_files_with_other_content_are_refused(tmp_path, boxes, message):
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


def test_other_errors_of_a_pipeline_are_raised_unchanged(tmp_path):
    with pytest.raises(KeyError, match='bbox_scale'):
        dataset(write_coco(tmp_path), pipeline=[dict(type='TopdownAffine', input_size=(8, 8))])[0]
