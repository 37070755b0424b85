"""The residual attention: its formula, its place in a bottleneck, and the ResNet made of them."""
import numpy as np
import pytest
import torch
from mmpose.models.backbones import ResNet
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.models.backbones.lightpose import AttentionBottleneck, AttentionResNet, ResidualAttention
from tests import building

SMALL = dict(type='mmpose_mspn.AttentionResNet', depth=50, base_channels=8, stem_channels=16)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def zero_weights(attention: ResidualAttention) -> None:
    """Weights of 0, with which both sigmoids give 1/2 and x becomes 1.25 x."""
    for parameter in attention.parameters():
        nn.init.zeros_(parameter)


def test_attention_with_zero_weights_adds_a_quarter():
    attention = ResidualAttention()
    zero_weights(attention)
    x = torch.randn(2, 5, 4, 3)
    assert torch.allclose(attention(x), 1.25 * x)


def test_formula():
    """A 3-channel 2×2 map, each step written out."""
    x = np.array([[[1., 2.], [3., 4.]], [[-1., 0.], [0., 1.]], [[2., 2.], [2., -6.]]])
    kernel, across, bias = np.array([0.1, 0.2, -0.3]), np.random.default_rng(0).normal(0, 0.3, (2, 7, 7)), 0.25
    attention = ResidualAttention().double()
    attention.channel.weight.data = torch.from_numpy(kernel).reshape(1, 1, 3)
    attention.spatial.weight.data = torch.from_numpy(across)[None]
    nn.init.constant_(attention.spatial.bias, bias)

    def along_channels(v):
        v = np.concatenate([[0], v, [0]])
        return np.array([kernel @ v[c:c + 3] for c in range(3)])

    averages, maxima = np.array([2.5, 0, 0]), np.array([4., 1., 2.])
    weighted = x * sigmoid(along_channels(averages) + along_channels(maxima))[:, None, None]
    padded = np.zeros((2, 8, 8))
    padded[:, 3:5, 3:5] = weighted.max(0), weighted.mean(0)
    spatial = sigmoid(np.array([[(across * padded[:, y:y + 7, z:z + 7]).sum() for z in range(2)]
                                for y in range(2)]) + bias)
    with torch.no_grad():
        out = attention(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(out, x + weighted * spatial, rtol=1e-10)


def test_parameters_by_hand():
    assert sum(parameter.numel() for parameter in ResidualAttention().parameters()) == 3 + 2 * 49 + 1


def test_attention_acts_on_the_branch_before_the_shortcut():
    """The branch is the constant 2, so 2.5 with an attention of zero weights, to which x is added unchanged."""
    block = AttentionBottleneck(8, 8).eval()
    nn.init.zeros_(block.norm3.weight)
    nn.init.constant_(block.norm3.bias, 2.)
    zero_weights(block.attention)
    x = torch.randn(2, 8, 4, 4) * 4
    assert torch.allclose(block(x), (x + 2.5).relu())


def test_every_bottleneck_of_the_resnet_has_one():
    net = MODELS.build(dict(SMALL, out_indices=(0, 1, 2, 3)))
    blocks = [block for name in net.res_layers for block in getattr(net, name)]
    assert len(blocks) == 3 + 4 + 6 + 3 and all(isinstance(block.attention, ResidualAttention) for block in blocks)
    plain = ResNet(50, base_channels=8, stem_channels=16).state_dict()
    assert set(plain) < set(net.state_dict())  # keys of a plain ResNet are kept
    assert {key.split('.')[2] for key in set(net.state_dict()) - set(plain)} == {'attention'}
    feats = net(torch.randn(2, 3, 64, 64))
    assert [tuple(feature.shape) for feature in feats] == [(2, 32 << i, 16 >> i, 16 >> i) for i in range(4)]


def test_zero_initialized_branches_add_nothing():
    """mmpose's zero_init_residual also applies to these bottlenecks."""
    net = MODELS.build(SMALL)
    net.init_weights()
    block = net.layer1[1].eval()
    x = torch.rand(1, 32, 4, 4)
    assert torch.equal(block(x), x)


def test_checkpointed_blocks_give_the_same_gradients():
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        block = AttentionBottleneck(8, 8, with_cp=with_cp)
        x = torch.randn(2, 8, 4, 4, requires_grad=True)
        block(x).pow(2).sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in block.parameters())])
    assert all(torch.allclose(one, other) for one, other in zip(*gradients))


def test_as_encoder_of_mspn():
    """With Ghost convolutions, as in lightpose: every parameter gets a gradient, also under bfloat16.

    The last norm of a Ghost convolution is followed by another norm, which removes its shift: those gradients are 0 but
    for rounding.
    """
    import mmpose_mspn.models.backbones.lightpose  # noqa: F401
    torch.manual_seed(0)
    ghost = dict(type='mmpose_mspn.GhostConv')
    net = building.estimator(
        dict(type='mmpose_mspn.MSPN', num_stages=1, encoder=SMALL, unit_channels=16, conv_cfg=ghost),
        dict(type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=16, unit_channels=16, conv_cfg=ghost,
             decoder=building.codec()))
    net.init_weights()
    assert isinstance(net.backbone.stem.conv1, nn.Conv2d)  # Ghost convolutions would crash, see test_ghost_conv
    for enabled in (False, True):
        net.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            losses = net.train().loss(torch.randn(2, 3, 64, 48), building.samples(keypoints=16))
        losses['loss_stage0'].backward()
        for name, parameter in net.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0 or name.endswith('cheap.bn.bias'), name


@pytest.mark.parametrize('depth', [18, 34, 20])
def test_depths_without_bottlenecks_are_named(depth):
    with pytest.raises(ValueError, match=rf'depth must be one of \[50, 101, 152\], got {depth}'):
        AttentionResNet(depth)
