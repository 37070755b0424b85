"""The Ghost convolution, alone and as the convolution of a network."""
import pytest
import torch
from mmcv.cnn import ConvModule, build_conv_layer
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.models.backbones.lightpose import GhostConv
from tests import building

GHOST = dict(type='mmpose_mspn.GhostConv')


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def not_ghost(module: nn.Module) -> list:
    """Sizes of the convolutions that are neither 1×1 nor depthwise."""
    return [
        child.kernel_size for child in module.modules()
        if isinstance(child, nn.Conv2d) and child.kernel_size != (1, 1) and child.groups != child.in_channels
    ]


@pytest.mark.parametrize('scope', ['mmpose', 'mmengine'])
def test_mmcv_builds_it_by_its_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        layer = build_conv_layer(GHOST, 8, 16, 3, stride=2, padding=1, bias=False)
    assert isinstance(layer, GhostConv)


def test_parameters_by_hand():
    assert count(GhostConv(64, 128, 3, padding=1)) == 64 * 64 + 2 * 64 + 64 * 9 + 2 * 64
    assert count(GhostConv(64, 128, 1)) == count(GhostConv(64, 128, 7, padding=3))
    assert count(GhostConv(10, 17, 3, padding=1)) == 10 * 9 + 2 * 9 + 8 * 9 + 2 * 8


def test_values_by_hand():
    """1×1 weights of 2 and 3, depthwise sums of a 3×3 window, norms that change nothing."""
    layer = GhostConv(1, 4, 5, padding=2).eval()
    layer.primary.conv.weight.data = torch.tensor([2., 3.]).reshape(2, 1, 1, 1)
    nn.init.ones_(layer.cheap.conv.weight)
    for norm in (layer.primary.norm, layer.cheap.norm):
        norm.eps = 1e-9  # torch 2.11 refuses 0
    with torch.no_grad():
        out = layer(torch.tensor([[1., 0., 0.], [0., 0., 0.], [0., 0., 10.]])[None, None])[0]
    assert out[0].tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 20]]
    assert out[1].tolist() == [[3, 0, 0], [0, 0, 0], [0, 0, 30]]
    assert out[2].tolist() == [[2, 2, 0], [2, 22, 20], [0, 20, 20]]
    assert out[3].tolist() == [[3, 3, 0], [3, 33, 30], [0, 30, 30]]


def test_with_an_odd_number_of_channels_the_last_of_the_first_half_has_no_ghost():
    layer = GhostConv(1, 3, 1).eval()
    layer.primary.conv.weight.data = torch.tensor([2., 3.]).reshape(2, 1, 1, 1)
    nn.init.ones_(layer.cheap.conv.weight)
    assert torch.allclose(layer(torch.ones(1, 1, 1, 1)).flatten(), torch.tensor([2., 3., 2.]), rtol=1e-4)


def test_a_norm_follows_each_convolution():
    torch.manual_seed(0)
    out = GhostConv(3, 8, 3, padding=1).train()(torch.randn(4, 3, 16, 16) * 7 + 5)
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(8), atol=1e-5)
    assert torch.allclose(out.std((0, 2, 3)), torch.ones(8), atol=1e-2)


def test_the_stride_belongs_to_the_1x1_convolution():
    layer = GhostConv(1, 2, 3, stride=2, padding=1).eval()
    nn.init.ones_(layer.primary.conv.weight)
    image = torch.arange(49.).reshape(1, 1, 7, 7)
    assert torch.allclose(layer(image)[:, 0], image[:, 0, ::2, ::2], rtol=1e-4)


@pytest.mark.parametrize('kernel, stride, dilation', [(1, 1, 1), (3, 1, 1), (3, 2, 1), (7, 2, 1), (3, 1, 2), (3, 2, 4)])
def test_output_has_the_replaced_convolutions_size(kernel, stride, dilation):
    args = dict(stride=stride, padding=dilation * (kernel // 2), dilation=dilation, bias=False)
    for rows, columns in ((8, 6), (9, 7)):
        x = torch.randn(1, 3, rows, columns)
        assert GhostConv(3, 17, kernel, **args)(x).shape == nn.Conv2d(3, 17, kernel, **args)(x).shape


def test_dilation_widens_the_depthwise_convolution():
    layer = GhostConv(1, 2, 3, padding=2, dilation=2).eval()
    nn.init.ones_(layer.primary.conv.weight)
    nn.init.ones_(layer.cheap.conv.weight)
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 1
    assert (layer(image)[0, 1] > 0.5).nonzero().tolist() == [[y, x] for y in (0, 2, 4) for x in (0, 2, 4)]


def test_groups_go_to_the_1x1_convolution():
    assert GhostConv(8, 16, 3, padding=1, groups=4).primary.conv.groups == 4


def test_conv_module_with_an_odd_number_of_channels():
    module = ConvModule(16, 17, 3, padding=1, conv_cfg=GHOST, norm_cfg=dict(type='BN'), act_cfg=None)
    assert module(torch.randn(2, 16, 4, 4)).shape == (2, 17, 4, 4)


@pytest.mark.parametrize('encoder', [
    dict(type='mmpose.ResNet', depth=50, base_channels=8, stem_channels=8),
    dict(type='mmpose.ResNeXt', depth=50, groups=4, width_per_group=8, base_channels=32, stem_channels=8),
    dict(type='mmpose.SEResNet', depth=50, base_channels=16, stem_channels=8, se_ratio=4),
    dict(type='mmpose.ResNetV1d', depth=18, base_channels=16, stem_channels=16),
    dict(type='mmpose.ResNet', depth=18, base_channels=16, stem_channels=16, dilations=(1, 1, 1, 2)),
])
def test_mspn_of_ghosts(encoder):
    """Every convolution behind the stem is a Ghost convolution, and every parameter gets a gradient."""
    torch.manual_seed(0)
    net = building.estimator(
        dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=encoder, unit_channels=16, conv_cfg=GHOST),
        dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, conv_cfg=GHOST,
             decoder=building.codec()))
    net.init_weights()
    # The backward pass of a strided 1×1 convolution with fewer than 16 channels, channels last, crashes torch 2.13 on
    # some CPUs, so the test must stop here if the stem has Ghost convolutions.
    assert not_ghost(net.backbone.stem)
    assert not_ghost(net.backbone.stages) == not_ghost(net.head) == []
    losses = net.train().loss(torch.randn(2, 3, 64, 48), building.samples())
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('encoder, kernels', [
    (dict(type='mmpose.ResNet', depth=18), [(7, 7)]),
    (dict(type='mmpose.ResNetV1d', depth=18), [(3, 3)] * 3),
])
def test_the_stem_stays_plain_unless_asked(encoder, kernels):
    with torch.device('meta'):
        assert not_ghost(building.backbone(1, encoder=encoder, conv_cfg=GHOST).stem) == kernels
        both = building.backbone(1, encoder=encoder, conv_cfg=GHOST, stem_conv_cfg=GHOST)
        assert not_ghost(both.stem) == []
        assert not_ghost(building.backbone(1, encoder=encoder).stem) == kernels


def test_the_light_1_stage_network_has_less_than_a_third_of_the_parameters():
    """lightpose: 256×256, 16 keypoints, Ghost convolutions, residual attention; 290 MB became 90 MB by its readme."""
    import mmpose_mspn.models.backbones.lightpose  # noqa: F401
    sizes = []
    with torch.device('meta'):
        for conv_cfg, encoder in ((None, 'ResNet'), (GHOST, 'mmpose_mspn.AttentionResNet')):
            backbone = dict(type='mmpose_mspn.MSPN', num_stages=1, encoder=dict(type=encoder, depth=50),
                            conv_cfg=conv_cfg)
            head = dict(type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=16, conv_cfg=conv_cfg,
                        decoder=building.codec((256, 256)))
            sizes.append(count(MODELS.build(backbone)) + count(MODELS.build(head)))
    assert sizes[1] / sizes[0] < 90 / 290


def test_norm_cfg_reaches_both_norms():
    layer = build_conv_layer(dict(GHOST, norm_cfg=dict(type='GN', num_groups=2)), 8, 16, 1)
    assert isinstance(layer.primary.norm, nn.GroupNorm) and isinstance(layer.cheap.norm, nn.GroupNorm)


def test_runs_under_bfloat16():
    layer = GhostConv(8, 17, 3, padding=1)
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(torch.randn(2, 8, 8, 8))
    out.float().pow(2).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize('args, message', [
    (dict(in_channels=0), 'in_channels must be >= 1, got 0'),
    (dict(out_channels=1), 'out_channels must be >= 2, one for each half, got 1'),
    (dict(kernel_size=2), r'kernel_size must be odd and >= 1, got \(2, 2\)'),
    (dict(padding=0), r'padding must be dilation .* got padding=\(0, 0\)'),
    (dict(groups=3), r'groups must divide in_channels \(8\) and half of out_channels \(8\), got 3'),
])
def test_bad_arguments_are_named(args, message):
    with pytest.raises(ValueError, match=message):
        GhostConv(**{**dict(in_channels=8, out_channels=16, kernel_size=3, padding=1), **args})
