"""The backbone: the network that its arguments build, and arguments that are refused."""
import pytest
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.models.backbones.mspn import UpUnit
from tests.building import SMALL, backbone

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
ENCODERS = [
    dict(type='ResNet', depth=18),
    dict(type='ResNet', depth=101),
    dict(type='ResNet', depth=152),
    dict(type='ResNeXt', depth=50),
    dict(type='SEResNet', depth=50),
    dict(type='ResNetV1d', depth=50),
    dict(type='ResNeSt', depth=50),
    dict(type='RegNet', arch='regnetx_400mf', strides=(1, 2, 2, 2)),
]


def shapes(features):
    return [[tuple(unit.shape) for unit in stage] for stage in features]


@pytest.mark.parametrize('encoder', ENCODERS, ids=lambda encoder: f"{encoder['type']}{encoder.get('depth', '')}")
def test_any_residual_encoder(encoder):
    network = backbone(encoder=encoder).eval()
    one = MODELS.build({**encoder, 'type': f"mmpose.{encoder['type']}", 'out_indices': (0, 1, 2, 3)})
    one.eval()  # mmpose's train() returns None
    with torch.no_grad():
        features = network(IMAGES)
        expected = [tuple(f.shape[2:]) for f in one(IMAGES)][::-1]
    assert shapes(features) == [[(2, 16, *size) for size in expected]] * 2


def test_stem_and_layers_are_the_encoders():
    """With the encoder's weights, the layers of the first stage return the encoder's features."""
    encoder = MODELS.build(dict(type='mmpose.ResNet', depth=18, out_indices=(0, 1, 2, 3)))
    encoder.eval()
    network = backbone(1).eval()
    weights = encoder.state_dict()
    network.stem.load_state_dict({k: v for k, v in weights.items() if not k.startswith('layer')})
    network.stages[0].encoder.load_state_dict({k: v for k, v in weights.items() if k.startswith('layer')})
    x = network.stem(IMAGES)
    for layer, expected in zip(network.stages[0].encoder.values(), encoder(IMAGES)):
        x = layer(x)
        torch.testing.assert_close(x, expected)


@pytest.mark.parametrize('num_stages', (1, 3))
@pytest.mark.parametrize('layers', (2, 3))
def test_stages_and_units(num_stages, layers):
    encoder = dict(SMALL, num_stages=layers, strides=(1, 2, 2)[:layers], dilations=(1, ) * layers)
    network = backbone(num_stages, encoder=encoder, unit_channels=8)
    assert network.num_units == layers
    finest = [(2, 8, 16, 12), (2, 8, 8, 6), (2, 8, 4, 3)][:layers]
    assert shapes(network(IMAGES)) == [finest[::-1]] * num_stages


def test_stem_channels_reach_the_stage_inputs():
    network = backbone(2, encoder=dict(SMALL, stem_channels=24, base_channels=16))
    assert network.stem.conv1.out_channels == 24
    assert network.stages[0].to_next.out_channels == 24
    assert network.stages[1].encoder.layer1[0].conv1.in_channels == 24
    network(IMAGES)


def test_norm_cfg_reaches_every_norm_and_conv_cfg_every_conv():
    standardized = dict(type='ConvAWS')
    network = backbone(
        2, norm_cfg=dict(type='GN', num_groups=4), conv_cfg=standardized, stem_conv_cfg=standardized)
    kinds = {type(module).__name__ for module in network.modules()}
    assert 'GroupNorm' in kinds and not kinds & {'BatchNorm2d', 'Conv2d'}
    network(IMAGES)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('conv_cfg', [None, dict(type='mmpose_mspn.GhostConv')])
@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), dict(type='GN', num_groups=2), None])
def test_a_unit_gives_the_same_in_either_order_of_resize_and_convolution(training, conv_cfg, norm_cfg):
    """The paper's order is resize, 1×1 convolution, norm."""
    torch.manual_seed(0)
    unit = UpUnit(8, 8, False, False, dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)).train(training)
    for module in unit.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight), nn.init.uniform_(module.bias), nn.init.uniform_(module.running_mean)
    coarser = torch.randn(3, 8, 4, 5)
    expected = unit.up(nn.functional.interpolate(coarser, size=(7, 9), mode='bilinear', align_corners=True))
    positions = []
    unit.up.conv.register_forward_pre_hook(lambda module, inputs: positions.append(inputs[0].shape[2:].numel()))
    torch.testing.assert_close(unit._from_coarser(coarser, torch.Size((7, 9))), expected, atol=1e-5, rtol=1e-5)
    assert positions == [4 * 5 if conv_cfg is None else 7 * 9]


def test_output_final_is_the_finest_feature_of_the_last_stage():
    network = backbone(2).eval()
    everything = network(IMAGES)
    network.output = 'final'
    final = network(IMAGES)
    assert isinstance(final, tuple) and len(final) == 1
    torch.testing.assert_close(final[0], everything[-1][-1])


def test_without_aggregation_stages_pass_on_their_input_only():
    joined, apart = backbone(2), backbone(2, cross_stage_aggregation=False)
    assert any('skip' in name for name, _ in joined.stages[0].named_parameters())
    assert not any('skip' in name for name, _ in apart.named_parameters())
    assert not any('skip' in name for name, _ in joined.stages[-1].named_parameters())
    assert apart.stages[0].to_next is not None
    assert shapes(apart(IMAGES)) == shapes(joined(IMAGES))


@pytest.mark.parametrize('frozen_stages', (-1, 0, 1, 2))
def test_frozen_stages_get_no_gradient_and_stay_in_eval_mode(frozen_stages):
    network = backbone(2, frozen_stages=frozen_stages).train()
    parts = [network.stem, *network.stages]
    for index, part in enumerate(parts):
        frozen = index <= frozen_stages
        assert all(p.requires_grad != frozen for p in part.parameters())
        assert all(m.training != frozen for m in part.modules() if isinstance(m, _BatchNorm))


def test_recomputation_changes_nothing_but_memory():
    """Outputs, gradients and norm statistics with and without with_cp are the same."""
    results = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        network = backbone(2, with_cp=with_cp).train()
        sum(unit.square().mean() for stage in network(IMAGES) for unit in stage).backward()
        results.append((network.state_dict(), {name: p.grad for name, p in network.named_parameters()}))
    (plain, plain_gradients), (recomputed, gradients) = results
    for name in plain:
        torch.testing.assert_close(recomputed[name], plain[name], msg=name)
    for name in plain_gradients:
        torch.testing.assert_close(gradients[name], plain_gradients[name], msg=name)


def test_recomputation_keeps_fewer_activations():
    def kept(with_cp: bool) -> int:
        sizes = []
        network = backbone(2, with_cp=with_cp).train()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            network(IMAGES)
        return sum(sizes)

    assert kept(True) < 0.5 * kept(False)


def test_autocast_runs_the_network_in_bf16():
    with torch.autocast('cpu', torch.bfloat16):
        features = backbone(2)(IMAGES)
    assert features[-1][-1].dtype == torch.bfloat16


def test_sync_bn_builds():
    network = backbone(2, norm_cfg=dict(type='SyncBN'))
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    assert norms and all(isinstance(m, nn.SyncBatchNorm) for m in norms)


def test_every_parameter_learns():
    network = backbone(3).train()
    sum(unit.square().mean() for stage in network(IMAGES) for unit in stage).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('changes, message', [
    (dict(num_stages=0), 'num_stages must be an integer >= 1, got 0'),
    (dict(unit_channels=0), 'unit_channels must be an integer >= 1, got 0'),
    (dict(frozen_stages=3), r'frozen_stages must be -1 ... num_stages \(2\), got 3'),
    (dict(output='last'), "output must be 'all' or 'final', got 'last'"),
    (dict(encoder=dict(type='MobileNetV2')), 'residual backbone with res_layers .*got MobileNetV2'),
    (dict(encoder=dict(type='RegNet', arch='regnetx_400mf')), r'strides\[0\] == 1'),
    (dict(encoder=dict(SMALL, num_stages=1, strides=(1, ), dilations=(1, ))), 'at least 2 layers.*got 1'),
    (dict(encoder=dict(SMALL, frozen_stages=1)), 'frozen_stages cannot be set in encoder'),
    (dict(encoder=dict(SMALL, norm_eval=True)), 'norm_eval cannot be set in encoder'),
])
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        backbone(**changes)
