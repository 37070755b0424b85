"""Weights carried over to other keypoints, and load_from of a training that does it."""
import pytest
import torch

from mmpose_mspn.checkpoints import LAYOUTS, convert
from mmpose_mspn.checkpoints.transfer_keypoints import (
    COCO_NAMES,
    MPII_NAMES,
    Origin,
    find_origins,
    origins_table,
    source_names,
    transfer_keypoints,
)
from tests.building import backbone, head

EIGHT = ('left_wrist', 'nose', 'tip', 'right_hip', 'left_ankle', 'right_ankle', 'left_knee', 'elbow')
MAP = {'elbow': 'left_elbow'}
CARRIED = [(0, 9), (1, 0), (3, 12), (4, 15), (5, 16), (6, 13), (7, 7)]
"""Index among EIGHT, and the index among COCO's 17 that its name or MAP gives."""


@pytest.fixture(scope='module')
def source() -> dict:
    """Random weights of a small network of 17 keypoints, norms and their statistics included."""
    torch.manual_seed(0)
    parts = dict(backbone=backbone(), head=head())
    weights = {f'{name}.{key}': value for name, part in parts.items() for key, value in part.state_dict().items()}
    return {key: torch.rand_like(value) + 0.5 if value.is_floating_point() else value
            for key, value in weights.items()}


def predicted(weights: dict, keypoints: int) -> list:
    """[stage][unit] (2, K, H', W'): what the predictors make of the same random features, before it is resized."""
    part = head(out_channels=keypoints)
    part.load_state_dict({key[5:]: value for key, value in weights.items() if key.startswith('head.')})
    part.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        return [[predictor(torch.rand(2, 16, 4 * 2**unit, 3 * 2**unit)) for unit, predictor in enumerate(predictors)]
                for predictors in part.predictors]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_carried_maps_of_every_stage_and_unit_equal_the_source_bit_for_bit(layout, source):
    given = convert(source, layout)
    carried, _ = transfer_keypoints({'state_dict': given}, EIGHT, MAP)
    expected, found = predicted(convert(given), 17), predicted(carried, 8)
    assert len(found) == 2 and all(len(units) == 4 for units in found)
    for stage, units in enumerate(found):
        for unit, maps in enumerate(units):
            for index, source_index in CARRIED:
                assert torch.equal(maps[:, index], expected[stage][unit][:, source_index]), (stage, unit, EIGHT[index])


def test_all_other_weights_stay_as_they_are(source):
    carried, _ = transfer_keypoints(source, EIGHT, MAP)
    assert list(carried) == list(source)
    for key, value in source.items():
        if '.1.conv.' not in key and '.1.bn.' not in key or 'head.' not in key:
            assert carried[key] is value


def test_new_keypoints_start_from_the_mean_and_keep_the_scale(source):
    carried, origins = transfer_keypoints(source, EIGHT, MAP)
    assert origins[2] == Origin('tip', 'new', None)
    for key in ('conv.weight', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'):
        key = f'head.predictors.1.3.1.{key}'
        torch.testing.assert_close(carried[key][2], source[key].mean(0))


def test_a_table_says_where_each_keypoint_starts():
    origins = find_origins(('nose', 'tip', 'elbow'), COCO_NAMES, MAP)
    assert origins_table(origins).splitlines() == [
        'nose   carried  nose', 'tip    new      mean of all keypoints', 'elbow  mapped   left_elbow']


@pytest.mark.parametrize('mapping, message', [
    ({'shoulder': 'left_elbow'}, 'the map names shoulder, not among the keypoints of the dataset: those are'),
    ({'tip': 'left_tip'}, 'the map names left_tip, not among the keypoints of the checkpoint: those are nose'),
])
def test_maps_of_keypoints_that_do_not_exist_are_refused(mapping, message):
    with pytest.raises(ValueError, match=message):
        find_origins(EIGHT, COCO_NAMES, mapping)


def of(keypoints: int, **meta) -> dict:
    weights = {f'head.predictors.0.0.1.conv.{name}': torch.ones(shape)
               for name, shape in (('weight', (keypoints, 4, 3, 3)), ('bias', (keypoints, )))}
    return dict(state_dict=weights, meta=meta)


def test_names_come_from_the_checkpoint_or_from_the_number_of_keypoints():
    own = dict(keypoint_id2name={1: 'b', 0: 'a'})
    assert source_names(of(2, dataset_meta=own)) == ('a', 'b')
    assert source_names(of(17)) == COCO_NAMES and source_names(of(16)) == MPII_NAMES
    # Of another number than the weights: they are not this network's.
    assert source_names(of(17, dataset_meta=own)) == COCO_NAMES
    assert source_names(of(3), ['x', 'y', 'z']) == ('x', 'y', 'z')


@pytest.mark.parametrize('checkpoint, given, message', [
    (of(3), None, 'predicts 3 keypoints and does not name them: give their names in order .--source-names'),
    (of(3), ['x'], 'predicts 3 keypoints, so it needs 3 names, got 1: x'),
    (dict(fc=torch.ones(1)), None, 'the layout is not recognized'),
    ({'backbone.stem.conv1.weight': torch.ones(1)}, None, 'has no predictors of heatmaps'),
])
def test_checkpoints_whose_keypoints_are_not_known_are_refused(checkpoint, given, message):
    with pytest.raises(ValueError, match=message):
        source_names(checkpoint, given)


def test_the_known_names_are_those_of_mmposes_metainfo():
    from mmpose.datasets.datasets import CocoDataset, MpiiDataset
    for kind, names in ((CocoDataset, COCO_NAMES), (MpiiDataset, MPII_NAMES)):
        by_index = kind._load_metainfo(kind.METAINFO)['keypoint_id2name']
        assert tuple(by_index[index] for index in range(len(names))) == names and len(by_index) == len(names)


def test_predictors_that_do_not_end_in_a_plain_convolution_are_refused():
    weights = of(17)
    weights['state_dict']['head.predictors.0.0.1.conv.primary'] = torch.ones(9, 4)
    with pytest.raises(ValueError, match=r'primary has 9 rows for 17 keypoints'):
        transfer_keypoints(weights, EIGHT)
