"""Weights compared with modules, key by key."""
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.checkpoints import convert, read_checkpoint
from mmpose_mspn.checkpoints.fit import compare_state_dicts, compare_with_model
from tests import building


def test_each_kind_of_mismatch():
    expected = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    weights = {**expected, '0.weight': torch.zeros(3, 4), '2.weight': torch.zeros(1)}
    del weights['0.bias'], weights['1.num_batches_tracked']
    found = compare_state_dicts(weights, expected)
    assert (found.missing, found.unexpected, found.shapes) == (['0.bias'], ['2.weight'], ['0.weight (3, 4) for (3, 2)'])
    assert found
    assert str(found) == 'missing 0.bias; unexpected 2.weight; of another shape 0.weight (3, 4) for (3, 2)'


def test_weights_that_fit():
    expected = nn.Linear(2, 3).state_dict()
    assert not compare_state_dicts(expected, expected) and str(compare_state_dicts(expected, expected)) == ''


@pytest.fixture
def estimator() -> nn.Module:
    return MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, encoder=building.SMALL, unit_channels=16),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=17, unit_channels=16,
                  decoder=building.codec())))


@pytest.mark.parametrize('layout', ['mmpose_mspn', 'official', 'mmpose'])
def test_any_layout_that_the_model_reads(estimator, layout):
    weights = convert(estimator.state_dict(), layout)
    kept = {key: value.clone() for key, value in estimator.state_dict().items()}
    assert not compare_with_model({'model': weights} if layout == 'official' else {'state_dict': weights}, estimator)
    assert all(torch.equal(value, kept[key]) for key, value in estimator.state_dict().items())  # nothing was loaded
    del weights[next(key for key in weights if key.endswith('conv.weight'))]
    assert len(compare_with_model(weights, estimator).missing) == 1


CODEC = dict(type='mmpose.MSRAHeatmap', input_size=(48, 64), heatmap_size=(6, 8), sigma=2)
SIMPLE_BASELINE = dict(
    type='mmpose.TopdownPoseEstimator', backbone=dict(type='mmpose.ResNet', depth=18),
    head=dict(type='mmpose.HeatmapHead', in_channels=512, out_channels=17, deconv_out_channels=(8, ),
              deconv_kernel_sizes=(4, ), conv_out_channels=(8, ), conv_kernel_sizes=(1, ), decoder=CODEC))


def as_mmpose_0_wrote_it(weights: dict) -> dict:
    """Its head was keypoint_head, and its final_layer held the convolutions before it, here three modules."""
    changes = [('head.conv_layers.', 'head.final_layer.'), ('head.final_layer.weight', 'head.final_layer.3.weight'),
               ('head.final_layer.bias', 'head.final_layer.3.bias'), ('head.', 'keypoint_head.')]
    for new, old in changes:
        weights = {key.replace(new, old): value for key, value in weights.items()}
    return weights


def test_keys_of_earlier_versions_of_mmpose(tmp_path):
    model = MODELS.build(SIMPLE_BASELINE)
    old = as_mmpose_0_wrote_it(model.state_dict())
    assert 'keypoint_head.final_layer.0.weight' in old and not any(key.startswith('head.') for key in old)
    assert not compare_with_model(dict(state_dict=old), model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'new.pth')
    assert not compare_with_model(read_checkpoint(tmp_path / 'new.pth'), model)


def test_an_ensemble_reads_earlier_versions_of_mmpose_too(tmp_path):
    weights = MODELS.build(SIMPLE_BASELINE).state_dict()
    torch.save(dict(state_dict=as_mmpose_0_wrote_it(weights)), tmp_path / 'old.pth')
    ensemble = MODELS.build(dict(
        type='mmpose_mspn.EnsemblePoseEstimator', decoder=CODEC,
        members=[dict(config=dict(model=SIMPLE_BASELINE), checkpoint=str(tmp_path / 'old.pth'))]))
    loaded = ensemble.members[0].state_dict()
    assert loaded.keys() == weights.keys() and all(torch.equal(loaded[key], weights[key]) for key in weights)
