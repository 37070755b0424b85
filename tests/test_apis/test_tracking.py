"""Ids of people in videos, on positions worked out by hand."""
import numpy as np
import pytest

from mmpose_mspn.apis.tracking import Tracker

POSE = np.array([[0, 0], [10, 0], [0, 20], [10, 20]])
"""Four keypoints in a box of 10 × 20 px."""


def people(*corners):
    """Keypoints, scores and boxes of people whose boxes have their upper left corners there."""
    corners = np.array(corners, np.float64).reshape(-1, 1, 2)
    boxes = np.concatenate([corners[:, 0], np.tile([10., 20.], (len(corners), 1))], 1).astype(np.float32)
    return POSE + corners, np.ones((len(corners), 4)), boxes


@pytest.mark.parametrize('sigmas', [[.1] * 4, None], ids=['OKS', 'IoU'])
def test_ids_follow_people_whatever_their_order(sigmas):
    tracker = Tracker(sigmas)
    assert tracker(*people((0, 0), (50, 0))).tolist() == [0, 1]
    assert tracker(*people((51, 1), (1, 0), (100, 0))).tolist() == [1, 0, 2]
    assert tracker(*people((2, 0))).tolist() == [0]
    assert tracker(*people((100, 0), (3, 1))).tolist() == [3, 0], 'who is missing in a frame comes back with a new id'
    assert tracker(*people()).tolist() == [] and tracker(*people((3, 1))).tolist() == [4]


@pytest.mark.parametrize('sigmas', [[.1] * 4, None], ids=['OKS', 'IoU'])
def test_one_person_is_followed_by_one(sigmas):
    """Both stand where the person stood: the first takes the id."""
    tracker = Tracker(sigmas)
    tracker(*people((0, 0)))
    assert tracker(*people((1, 0), (0, 1))).tolist() == [0, 1]


def test_similarity_is_that_of_the_keypoints_where_their_sigmas_are_known():
    """A person turns around in the same box: the boxes are equal, the keypoints far apart."""
    turned = list(people((0, 0)))
    turned[0] = turned[0][:, ::-1]
    for tracker, expected in ((Tracker([.1] * 4), [1]), (Tracker(), [0])):
        tracker(*people((0, 0)))
        assert tracker(*turned).tolist() == expected


def test_a_tracker_goes_on_with_the_ids_of_an_earlier_run():
    tracker = Tracker([.1] * 4)
    assert tracker(*people((0, 0), (50, 0)), ids=[7, 3]).tolist() == [7, 3]
    assert tracker(*people((50, 0), (90, 0), (0, 0))).tolist() == [3, 8, 7]
