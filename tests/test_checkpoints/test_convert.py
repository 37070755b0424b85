"""Conversion of weights between the layouts."""
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.checkpoints import convert, recognize
from tests.building import backbone, head


@pytest.fixture
def ours() -> dict:
    """Random weights of a small network with the blocks of ResNet-18."""
    network = nn.ModuleDict(dict(backbone=backbone(3), head=head(3)))
    weights = network.state_dict()
    return {key: torch.rand_like(value) if value.is_floating_point() else value for key, value in weights.items()}


@pytest.mark.parametrize('layout', ('official', 'mmpose'))
def test_round_trip_is_exact(ours, layout):
    other = convert(ours, layout)
    assert recognize(other) == layout and recognize(ours) == 'mmpose_mspn'
    back = convert(other)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[key], ours[key]) for key in ours)


def test_between_mmpose_and_official(ours):
    through = convert(convert(convert(ours, 'mmpose'), 'official'), 'mmpose')
    direct = convert(ours, 'mmpose')
    assert all(torch.equal(through[key], direct[key]) for key in direct)


def test_weights_of_mmposes_own_network_give_its_features(ours):
    network = MODELS.build(dict(type='mmpose.MSPN', num_stages=2, num_blocks=[3, 4, 6, 3]))
    predictors = MODELS.build(dict(type='mmpose.MSPNHead', num_stages=2, level_indices=[0] * 8))
    theirs = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    theirs.update({f'head.{k}': v for k, v in predictors.state_dict().items()})
    model = nn.ModuleDict(dict(backbone=backbone(2, encoder=None, unit_channels=256), head=head(2, unit_channels=256)))
    model.load_state_dict(convert(theirs), strict=True)
    images = torch.randn(1, 3, 64, 48)
    for one in (model, network):
        one.eval()
    features, expected = model.backbone(images), network(images)
    torch.testing.assert_close(features[1][3], expected[1][3], rtol=1e-3, atol=1e-3 * expected[1][3].std().item())


def test_official_biases_fold_into_the_norm(ours):
    """A bias before a norm in eval mode shifts the norm's running mean."""
    official = convert(ours, 'official')
    official['top.conv.conv.bias'] = torch.full_like(official['top.conv.conv.bias'], 0.25)
    moved = ours['backbone.stem.bn1.running_mean'] - 0.25
    torch.testing.assert_close(convert(official)['backbone.stem.bn1.running_mean'], moved)


def test_the_official_stem_is_bgr(ours):
    stem = ours['backbone.stem.conv1.weight']
    assert torch.equal(convert(ours, 'official')['top.conv.conv.weight'], stem[:, [2, 1, 0]])
    assert torch.equal(convert(ours, 'mmpose')['backbone.top.top.0.conv.weight'], stem)


@pytest.mark.parametrize('wrap', [
    lambda weights: {'model': weights},
    lambda weights: {'state_dict': weights, 'meta': {}},
    lambda weights: {f'module.{key}': value for key, value in weights.items()},
    lambda weights: {'model': {f'module.{key}': value for key, value in weights.items()}, 'iteration': 3},
    lambda weights: {'data_preprocessor.mean': torch.zeros(3), **weights},
])
def test_wrappers_and_prefixes(ours, wrap):
    for layout in ('official', 'mmpose'):
        assert convert(wrap(convert(ours, layout))).keys() == ours.keys()


def test_unknown_keys_are_named(ours):
    with pytest.raises(ValueError, match='belong to no MSPN in the mmpose_mspn layout: backbone.stem.extra'):
        convert({**ours, 'backbone.stem.extra': torch.zeros(1)}, 'mmpose')
    with pytest.raises(ValueError, match='the layout is not recognized: the keys fit none'):
        convert({'conv1.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match="to must be one of mmpose_mspn, official, mmpose, got 'hrnet'"):
        convert(ours, 'hrnet')
    official = convert(ours, 'official')
    del official['top.conv.bn.running_mean']
    with pytest.raises(ValueError, match='top.conv.conv.bias cannot be folded'):
        convert(official)
