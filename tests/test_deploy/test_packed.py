"""Packed convolutions compute what the modules computed, fused where that is the same, alone where it is not."""
import copy
import pickle

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmpose.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmpose_mspn.deploy.packed import PackedConv, PackedGraph, can_pack, pack

pytestmark = pytest.mark.skipif(not can_pack(torch.device('cpu'), None), reason='this torch has no oneDNN operators')
SMALL = dict(base_channels=16, stem_channels=16)
MSPN = dict(type='mmpose_mspn.MSPN', num_stages=1, unit_channels=32)
BACKBONES = [
    {**MSPN, 'encoder': dict(type='ResNet', depth=18, **SMALL), 'num_stages': 2},
    {**MSPN, 'encoder': dict(type='ResNet', depth=50, **SMALL), 'num_stages': 2, 'cross_stage_aggregation': False},
    {**MSPN, 'encoder': dict(type='ResNeXt', depth=50)},
    {**MSPN, 'encoder': dict(type='SEResNet', depth=50, **SMALL)},
    {**MSPN, 'encoder': dict(type='ResNetV1d', depth=50, **SMALL)},
    {**MSPN, 'encoder': dict(type='ResNeSt', depth=50)},
    {**MSPN, 'encoder': dict(type='ResNet', depth=50, **SMALL), 'conv_cfg': dict(type='mmpose_mspn.GhostConv')},
    {**MSPN, 'encoder': dict(type='mmpose_mspn.AttentionResNet', depth=50, **SMALL)},
    {**MSPN, 'encoder': dict(type='ResNet', depth=50, **SMALL), 'norm_cfg': dict(type='GN', num_groups=4)},
    dict(type='RSN', num_stages=1),
    dict(type='MSPN', num_stages=1),
    dict(type='ResNet', depth=18, out_indices=(0, 3)),
    dict(type='MobileNetV2'),
]


def flat(features) -> list:
    return [features] if torch.is_tensor(features) else [one for part in features for one in flat(part)]


def trained(cfg: dict) -> nn.Module:
    """The model in eval mode, after its norms' statistics have moved away from the initial ones."""
    model = MODELS.build(cfg)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(2, 3, 64, 64))
    model.eval()
    return model


@pytest.mark.parametrize('cfg', BACKBONES, ids=lambda cfg: str(cfg.get('encoder', cfg.get('conv_cfg', cfg)))[:60])
def test_every_backbone_gives_the_same_features(cfg):
    model = trained(cfg)
    holder = nn.ModuleDict(dict(backbone=fuse_conv_bn(copy.deepcopy(model))))
    pack(holder)
    assert any(isinstance(module, PackedConv) for module in holder.modules())
    with torch.no_grad():
        for size in ((2, 3, 64, 64), (1, 3, 128, 96)):  # the second is not what the weights were laid out for
            x = torch.randn(size)
            found = flat(holder['backbone'](x))
            for one, expected in zip(found, flat(model(x))):
                torch.testing.assert_close(one, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
        for twin in (copy.deepcopy(holder), pickle.loads(pickle.dumps(holder))):
            assert all(torch.equal(one, other) for one, other in zip(flat(twin['backbone'](x)), found))


def test_every_convolution_of_our_network_is_packed():
    holder = nn.ModuleDict(dict(backbone=fuse_conv_bn(trained(BACKBONES[0]))))
    pack(holder)
    graph = holder['backbone']
    assert isinstance(graph, PackedGraph) and not any(isinstance(m, (nn.Conv2d, nn.ReLU)) for m in graph.modules())
    # Each block of two convs adds in its second; each unit but the coarsest adds the coarser one.
    adding = [m for m in graph.modules() if isinstance(m, PackedConv) and m.reuse]
    assert len(adding) == 2 * (8 + 3)


class Sums(nn.Module):
    """Sums whose summands are needed later, and one that broadcasts."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))
        self.narrow = nn.Conv2d(16, 16, (64, 64))

    def forward(self, x):
        first = self.a(x)
        second = self.b(x) + first  # `first` is needed below
        third = F.relu(self.c(second) + self.narrow(x))
        return first, second + x, third, x + x


def test_what_is_needed_later_is_not_overwritten():
    model = Sums().eval()
    holder = nn.ModuleDict(dict(sums=copy.deepcopy(model)))
    pack(holder)
    x = torch.randn(2, 16, 64, 64)
    kept = x.clone()
    with torch.no_grad():
        for found, expected in zip(holder['sums'](x), model(x)):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert torch.equal(x, kept)


def test_a_module_that_depends_on_values_stays_and_its_parts_are_packed():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3)

        def forward(self, x):
            return self.conv(x) if x.sum() > 0 else -self.conv(x)

    model = Branches().eval()
    holder = nn.ModuleDict(dict(branches=copy.deepcopy(model)))
    pack(holder)
    assert isinstance(holder['branches'], Branches) and isinstance(holder['branches'].conv, PackedGraph)
    with torch.no_grad():
        for x in (torch.ones(1, 3, 8, 8), -torch.ones(1, 3, 8, 8)):
            torch.testing.assert_close(holder['branches'](x), model(x))


def test_the_weights_are_packed_for_the_first_input_and_copied_in_the_plain_layout():
    conv = nn.Conv2d(16, 32, 3, groups=2)
    packed = PackedConv(conv, relu=False, reuse=False, dtype=None)
    state = packed.__getstate__()
    assert packed.packed_for is None and torch.equal(state['weight'], conv.weight)
    packed(torch.randn(2, 16, 12, 10))
    assert packed.packed_for == [2, 16, 12, 10] and packed.weight.is_mkldnn
    assert torch.equal(packed.__getstate__()['weight'], conv.weight)
    assert copy.deepcopy(packed).weight.is_mkldnn
