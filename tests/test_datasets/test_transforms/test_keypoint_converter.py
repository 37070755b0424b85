"""Conversion of keypoints with visibility 0/1/2."""
import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

import mmpose_mspn  # noqa: F401  registers the parts


def convert(source_visible: list, mapping: list) -> dict:
    count = len(source_visible)
    transform = TRANSFORMS.build(dict(type='mmpose_mspn.KeypointConverter', num_keypoints=3, mapping=mapping))
    return transform(dict(
        keypoints=np.array([[[10. * i, i] for i in range(count)]]),
        keypoints_visible=np.array([source_visible], np.float32),
        flip_indices=list(range(count))))


def test_converter_keeps_visibility():
    results = convert([1, 2, 0], [(0, 2), (1, 0)])
    assert results['keypoints_visible'].tolist() == [[2, 0, 1]]
    assert results['keypoints'].tolist() == [[[10, 1], [0, 0], [0, 0]]]


@pytest.mark.parametrize('pair, visible', [((2, 2), 2), ((1, 2), 1), ((0, 2), 0)])
def test_a_pair_is_as_visible_as_its_less_visible_keypoint(pair, visible):
    results = convert(list(pair), [((0, 1), 1)])
    assert results['keypoints_visible'].tolist() == [[0, visible, 0]]
    assert results['keypoints'][0, 1].tolist() == [5, .5]
