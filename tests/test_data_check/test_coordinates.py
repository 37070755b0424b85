"""Coordinates in another unit or form, which all entries of a file show together."""
import pytest

from mmpose_mspn.data_check.coco import check_detections, is_normalized, is_xyxy
from mmpose_mspn.utils.errors import DataError
from tests.test_datasets.coco_files import dataset, edited, write_coco

SIZE = (100, 80)


@pytest.mark.parametrize('boxes, xyxy', [
    ([(60, 50, 90, 70)], True),
    ([(60, 50, 90, 70), (10, 10, 30, 30)], True),
    ([(60, 50, 90, 70), (10, 10, 30, 30), (0, 0, 50, 40)], False),  # most fit as x, y, width, height too
    ([(60, 50, 30, 20)], False),  # x2 < x1
    ([(60, 50, 90, 70), (60, 50, 30, 20)], False),
    ([(60, 50, 90, 120)], False),  # neither fits
    ([(1, 1, 99, 79)], False),  # as width and height it reaches beyond the image by rounding
    ([], False),
])
def test_boxes_that_can_only_be_xyxy(boxes, xyxy):
    assert is_xyxy(boxes, [SIZE] * len(boxes)) == xyxy


@pytest.mark.parametrize('values, normalized', [([0.1, 0.5], True), ([0., 1.], False), ([0.5, 1.5], False), ([], False),
                                            ([-0.1, 0.5], False)])
def test_normalized_coordinates(values, normalized):
    assert is_normalized(values) == normalized


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('fields, message', [
    (dict(bbox=[30, 20, 75, 85]), 'all 1 boxes lie in their images as x1, y1, x2, y2.*boxes in xyxy'),
    (dict(bbox=[.1, .1, .5, .5], area=.1), 'the numbers of all 1 boxes are 0 to 1 .normalized coordinates'),
    (dict(keypoints=[0, 0, 2] * 2 + [20, 30, 2] * 15), '2 of 17 labeled .* in annotation 7 .labeled keypoint at'),
    (dict(area=0.4), 'annotation 7 .*area 0.4 .area out of range'),
    (dict(keypoints=[.5, .25, 2] * 17), 'the coordinates of all keypoints are 0 to 1'),
])
def test_a_dataset_refuses_them(tmp_path, fields, message, test_mode):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'][0].update(fields)
    with pytest.raises(DataError, match=message):
        dataset(tmp_path, test_mode=test_mode)


def test_crowds_do_not_count(tmp_path):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'].append(dict(content['annotations'][0], id=8, iscrowd=1, bbox=[30, 20, 75, 85]))
    assert len(dataset(tmp_path)) == 1


def test_detections_in_xyxy():
    (kind, example), = check_detections([dict(image_id=1, category_id=1, bbox=[60, 50, 90, 70], score=1.)],
                                        {1: dict(width=100, height=80)}, 'boxes.json')
    assert kind == 'boxes in xyxy' and 'boxes.json' in example


def test_a_single_keypoint_may_lie_in_the_corner(tmp_path):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'][0]['keypoints'][:3] = [0, 0, 2]
    assert len(dataset(tmp_path)) == 1


@pytest.mark.parametrize('old, new', [('"annotations"', '"annotations": [], "annotations"'),
                                      ('"bbox"', '"area": 5, "bbox"')])
def test_a_key_that_stands_twice_is_named(tmp_path, old, new):
    write_coco(tmp_path)
    path = tmp_path / 'people.json'
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match='people.json has the key .*(annotations|area)'):
        dataset(tmp_path)
