"""Coordinates in another unit or form, which all entries of a file show together."""
import pytest

from mmpose_mspn.datasets.coordinate_rules import are_corners, are_shares
from mmpose_mspn.datasets.detection_rules import check_detections
from tests.test_datasets.coco_files import dataset, edited, write_coco

SIZE = (100, 80)


@pytest.mark.parametrize('boxes, corners', [
    ([(60, 50, 90, 70)], True),
    ([(60, 50, 90, 70), (10, 10, 30, 30)], True),
    ([(60, 50, 90, 70), (10, 10, 30, 30), (0, 0, 50, 40)], False),  # most fit as x, y, width, height too
    ([(60, 50, 30, 20)], False),  # x2 < x1
    ([(60, 50, 90, 70), (60, 50, 30, 20)], False),
    ([(60, 50, 90, 120)], False),  # neither fits
    ([(1, 1, 99, 79)], False),  # as width and height it reaches beyond the image by rounding
    ([], False),
])
def test_boxes_that_can_only_be_corners(boxes, corners):
    assert are_corners(boxes, [SIZE] * len(boxes)) == corners


@pytest.mark.parametrize('values, shares', [([0.1, 0.5], True), ([0., 1.], False), ([0.5, 1.5], False), ([], False),
                                            ([-0.1, 0.5], False)])
def test_shares_of_the_image(values, shares):
    assert are_shares(values) == shares


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('fields, message', [
    (dict(bbox=[30, 20, 75, 85]), 'all 1 boxes lie in their images as x1, y1, x2, y2.*boxes of two corners'),
    (dict(bbox=[.1, .1, .5, .5], area=.1), 'the numbers of all 1 boxes are 0 to 1 .coordinates as shares'),
    (dict(keypoints=[.5, .25, 2] * 17), 'the coordinates of all keypoints are 0 to 1'),
])
def test_a_dataset_refuses_them(tmp_path, fields, message, test_mode):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'][0].update(fields)
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path, test_mode=test_mode)


def test_crowds_do_not_count(tmp_path):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'].append(dict(content['annotations'][0], id=8, iscrowd=1, bbox=[30, 20, 75, 85]))
    assert len(dataset(tmp_path)) == 1


def test_detections_as_corners():
    found = []
    check_detections([dict(image_id=1, category_id=1, bbox=[60, 50, 90, 70], score=1.)],
                     {1: dict(width=100, height=80)}, 'boxes.json', lambda kind, where: found.append((kind, where)))
    assert [kind for kind, _ in found] == ['boxes of two corners'] and 'boxes.json' in found[0][1]
