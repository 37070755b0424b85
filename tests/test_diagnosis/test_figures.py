"""Parts of the body, crowding, truncation and labels, by hand."""
from dataclasses import replace

import numpy as np
import pytest

from mmpose_mspn.diagnosis.figures import groups, overlaps, parts, truncated
from mmpose_mspn.diagnosis.people import KeypointSet
from mmpose_mspn.diagnosis.sources import read_coco_truth

from .planted_people import COCO, HANDS, Planted


def members(found, kind):
    return {group.name: group for group in found if group.kind == kind}


def keypoint_set(names, flip):
    return KeypointSet(tuple(names), np.full(len(names), .05), np.array(flip))


def test_both_sides_are_one_part_in_the_order_of_the_keypoints():
    found = parts(COCO)
    assert list(found) == ['nose', 'eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle']
    assert np.flatnonzero(found['wrist']).tolist() == [9, 10]
    assert list(parts(HANDS)) == ['tail', 'fin', 'eye', 'mouth']


@pytest.mark.parametrize('names', [('L_Eye', 'R_Eye'), ('eye left', 'eye right'), ('left-eye', 'right-eye')])
def test_sides_in_other_spellings(names):
    found = parts(keypoint_set(names, [1, 0]))
    assert len(found) == 1 and next(iter(found)).lower() == 'eye'


def test_a_name_without_a_counterpart_keeps_its_side():
    assert list(parts(keypoint_set(['left_tail', 'nose'], [0, 1]))) == ['left_tail', 'nose']


def test_many_numbered_keypoints_are_one_part():
    names = [f'face-{index}' for index in range(30)] + ['nose']
    found = parts(keypoint_set(names, range(31)))
    assert list(found) == ['face', 'nose'] and found['face'].sum() == 30


def data(tmp_path, boxes, **changes):
    planted = Planted(COCO)
    image = planted.image(width=640, height=480)
    for index, box in enumerate(boxes):
        planted.person(image, (100, 100), bbox=box, **{name: values[index] for name, values in changes.items()})
    return read_coco_truth(str(planted.write(tmp_path)[0]), '', COCO)


def test_overlap_is_the_highest_intersection_over_union(tmp_path):
    truth = data(tmp_path, [[0, 0, 100, 100], [50, 0, 100, 100], [300, 300, 10, 10], [0, 0, 100, 100]],
                 iscrowd=[0, 0, 0, 1])
    # 50·100 of 150·100; the crowd over the first person does not count, but has neighbors itself.
    assert overlaps(truth) == pytest.approx([1 / 3, 1 / 3, 0, 1])
    found = members(groups(truth, COCO), 'crowding')
    assert found['alone'].counted.tolist() == [False, False, True, False]
    assert found['overlap over 0.3'].counted.tolist() == [True, True, False, True]


def test_truncation_is_a_box_at_the_border(tmp_path):
    truth = data(tmp_path, [[1, 50, 10, 10], [50, 50, 10, 10], [629, 50, 10, 10], [50, 468, 10, 12], [50, -3, 9, 9]])
    assert truncated(truth).tolist() == [True, False, True, True, True]


def test_without_the_images_sizes_truncation_is_not_looked_at(tmp_path):
    planted = Planted(COCO)
    planted.person(planted.image(), (1, 1))
    truth = read_coco_truth(str(planted.write(tmp_path)[0]), '', COCO)
    truth = replace(truth, images=(replace(truth.images[0], width=None), ))  # as MPII's files give none
    assert truncated(truth) is None and not members(groups(truth, COCO), 'truncation')


@pytest.mark.parametrize('keypoints, ranges', [
    (COCO, ['1 to 4', '5 to 8', '9 to 13', '14 to 17']), (HANDS, ['1 to 2', '3 to 3', '4 to 4', '5 to 6'])])
def test_labels_are_counted_in_quarters_that_hold_every_number(keypoints, ranges, tmp_path):
    planted = Planted(keypoints)
    image = planted.image()
    for labeled in range(1, len(keypoints) + 1):
        planted.person(image, (1, 1), [2] * labeled + [0] * (len(keypoints) - labeled))
    truth = read_coco_truth(str(planted.write(tmp_path)[0]), '', keypoints)
    found = members(groups(truth, keypoints), 'labeled keypoints')
    assert list(found) == ranges
    assert (sum(group.counted.astype(int) for group in found.values()) == 1).all()
