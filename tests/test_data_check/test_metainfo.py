"""A metainfo that mmpose reads, and with which flips and evaluations would be wrong."""
import numpy as np
import pytest
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.data_check.configs import wrong_metainfo


@pytest.fixture
def meta():
    return parse_pose_metainfo(CocoDataset.METAINFO)


def test_the_metainfo_of_coco_is_right(meta):
    assert wrong_metainfo(meta) is None


def test_flips_must_swap_both(meta):
    """left_eye (1), right_eye (2), left_ear (3) and right_ear (4)."""
    meta['flip_indices'][1] = 4
    assert "'left_eye' swaps with 'right_ear', but that one with 'left_ear'" in wrong_metainfo(meta)


@pytest.mark.parametrize('field, value, said', [
    ('sigmas', 0., "sigmas must be finite and above 0, got 0.0 for 'left_ear'"),
    ('sigmas', np.nan, "sigmas must be finite and above 0, got nan for 'left_ear'"),
    ('dataset_keypoint_weights', -1., "joint_weights must be finite and 0 or more, got -1.0 for 'left_ear'"),
    ('dataset_keypoint_weights', np.inf, 'joint_weights must be finite'),
])
def test_numbers_of_keypoints(meta, field, value, said):
    meta[field] = np.array(meta[field], float)
    meta[field][3] = value
    assert said in wrong_metainfo(meta)
    meta[field] = meta[field][1:]
    assert 'must be 17 numbers, one for each keypoint, got 16' in wrong_metainfo(meta)
