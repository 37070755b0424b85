"""Encoders: how backbones are split, and a small convolutional one of the test's own in a network that trains."""
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.runner import load_checkpoint
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.models.backbones.encoder import split_encoder
from tests import building

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@MODELS.register_module()
class TenLines(nn.Module):
    """An encoder that is no ResNet: a stem with a stride of 4, three layers, and a classifier that MSPN drops."""

    def __init__(self, width=8, conv_cfg=None, norm_cfg=None):
        super().__init__()
        args = dict(kernel_size=3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.conv1 = ConvModule(3, width, stride=4, **args)
        self.wide = ConvModule(width, 2 * width, **args)
        self.wider = nn.Sequential(nn.MaxPool2d(2), ConvModule(2 * width, 3 * width, **args))
        self.widest = ConvModule(3 * width, 4 * width, stride=2, **args)
        self.fc = nn.Linear(4 * width, 10)
        self.channels = [width, 2 * width, 3 * width, 4 * width]

    def encoder_parts(self):
        return dict(conv1=self.conv1), dict(wide=self.wide, wider=self.wider, widest=self.widest), self.channels


@MODELS.register_module()
class CountedLayers(TenLines):
    """An encoder with an argument whose name mmpose's backbones use too."""

    def __init__(self, num_stages, **kwargs):
        super().__init__(**kwargs)
        self.num_stages = num_stages

    def encoder_parts(self):
        stem, layers, channels = super().encoder_parts()
        return stem, dict(list(layers.items())[:self.num_stages]), channels[:self.num_stages + 1]


ENCODER = dict(type='TenLines')


def backbone(num_stages: int = 2, **changes) -> nn.Module:
    torch.manual_seed(0)
    return building.backbone(num_stages, **{'encoder': ENCODER, **changes})


def estimator(**changes) -> nn.Module:
    torch.manual_seed(0)
    net = MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor'),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=ENCODER, unit_channels=16, **changes),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=2, num_units=3, out_channels=17, unit_channels=16,
                  decoder=building.codec())))
    net.init_weights()
    return net


def total_loss(net: nn.Module) -> torch.Tensor:
    losses = net.loss(IMAGES, building.samples())
    return sum(value for name, value in losses.items() if name.startswith('loss'))


@pytest.mark.parametrize('encoder, stem', [
    (dict(type='mmpose.ResNet', depth=50), ['conv1', 'bn1', 'relu', 'maxpool']),
    (dict(type='mmpose.ResNetV1d', depth=50), ['stem', 'maxpool']),
])
def test_parts_of_a_residual_backbone(encoder, stem):
    """The keys of all parts together are those of the backbone."""
    built = MODELS.build(encoder)
    parts = split_encoder(built)
    assert list(dict(parts.stem.named_children())) == stem
    assert list(parts.layers) == ['layer1', 'layer2', 'layer3', 'layer4']
    assert parts.channels == (64, 256, 512, 1024, 2048)
    assert {**parts.stem.state_dict(), **parts.layers.state_dict()}.keys() == built.state_dict().keys()


def test_parts_of_another_encoder():
    """Checking them changes neither the statistics of norms nor the mode."""
    encoder = MODELS.build(dict(ENCODER, norm_cfg=dict(type='BN')))
    encoder.wider.eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    parts = split_encoder(encoder)
    assert parts.stem.conv1 is encoder.conv1 and list(parts.layers) == ['wide', 'wider', 'widest']
    assert parts.channels == (8, 16, 24, 32)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training and encoder.wide.training and not encoder.wider.training


@pytest.mark.parametrize('layers', [2, 3])
def test_an_encoder_may_have_arguments_of_its_own(layers):
    network = backbone(encoder=dict(type='CountedLayers', num_stages=layers))
    assert network.num_units == layers
    assert [tuple(unit.shape[2:]) for unit in network(IMAGES)[-1]] == [(4, 3), (8, 6), (16, 12)][3 - layers:]


def test_stages_run_the_encoders_layers():
    network = backbone().eval()
    shapes = [[tuple(unit.shape) for unit in stage] for stage in network(IMAGES)]
    assert shapes == [[(2, 16, 4, 3), (2, 16, 8, 6), (2, 16, 16, 12)]] * 2
    encoder = MODELS.build(dict(ENCODER, norm_cfg=dict(type='BN'))).eval()
    weights = encoder.state_dict()
    network.stem.load_state_dict({key: value for key, value in weights.items() if key.startswith('conv1')})
    network.stages[0].encoder.load_state_dict({key: value for key, value in weights.items() if key.startswith('wid')})
    x = network.stem(IMAGES)
    for layer in network.stages[0].encoder.values():
        x = layer(x)
    torch.testing.assert_close(x, encoder.widest(encoder.wider(encoder.wide(encoder.conv1(IMAGES)))))


def test_a_training_step():
    """The loss falls, every parameter has a gradient, and the checkpoint loads strictly."""
    net = estimator().train()
    before = total_loss(net)
    before.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []
    torch.optim.Adam(net.parameters(), lr=1e-3).step()
    assert total_loss(net) < before


def test_keys_hold_the_encoders_names(tmp_path):
    net = estimator()
    keys = net.state_dict().keys()
    assert {'backbone.stem.conv1.conv.weight', 'backbone.stages.1.encoder.wider.1.conv.weight',
            'backbone.stages.1.encoder.widest.bn.running_mean', 'backbone.stages.0.to_next.conv.weight'} <= keys
    assert not any('fc' in key for key in keys)
    torch.save(dict(state_dict=net.state_dict()), tmp_path / 'net.pth')
    other = estimator()
    for value in other.state_dict().values():
        value.zero_()
    load_checkpoint(other, str(tmp_path / 'net.pth'), map_location='cpu', strict=True)
    torch.testing.assert_close(other.state_dict(), net.state_dict())


def test_norms_and_convolutions_are_those_of_the_network():
    standardized = dict(type='ConvAWS')
    network = backbone(norm_cfg=dict(type='GN', num_groups=2), conv_cfg=standardized)
    assert type(network.stem.conv1.conv) is nn.Conv2d  # stem_conv_cfg
    kinds = {type(module).__name__ for module in network.stages.modules()}
    assert {'GroupNorm', 'ConvAWS2d'} <= kinds and not kinds & {'BatchNorm2d', 'Conv2d'}


@pytest.mark.parametrize('frozen_stages', (0, 1))
def test_frozen_stages(frozen_stages):
    network = backbone(frozen_stages=frozen_stages).train()
    for index, part in enumerate([network.stem, *network.stages]):
        assert all(p.requires_grad == (index > frozen_stages) for p in part.parameters())
        assert all(m.training == (index > frozen_stages) for m in part.modules() if isinstance(m, _BatchNorm))


def test_recomputation_gives_the_same_gradients_and_statistics():
    found = []
    for with_cp in (False, True):
        net = estimator(with_cp=with_cp).train()
        total_loss(net).backward()
        found.append(([p.grad for p in net.parameters()], net.state_dict()))
    torch.testing.assert_close(found[1], found[0])


def test_pretrained_weights_fill_stem_and_every_stage(tmp_path):
    weights = MODELS.build(dict(ENCODER, norm_cfg=dict(type='BN'))).state_dict()
    weights = {key: torch.rand_like(value) if value.is_floating_point() else value for key, value in weights.items()}
    torch.save(weights, tmp_path / 'pretrained.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'))
    network = backbone(3, init_cfg=pretrained)
    network.init_weights()
    assert torch.equal(network.stem.conv1.conv.weight, weights['conv1.conv.weight'])
    for stage in network.stages:
        assert torch.equal(stage.encoder.wider[1].bn.running_var, weights['wider.1.bn.running_var'])
    other = backbone(3, encoder=dict(ENCODER, width=4), init_cfg=pretrained)
    with pytest.raises(ValueError, match=r'pretrained.pth does not fit the encoder.*'
                                         r'conv1.conv.weight \(8, 3, 3, 3\) for \(4, 3, 3, 3\)'):
        other.init_weights()


def test_builds_without_memory_for_weights():
    with torch.device('meta'):
        assert backbone().stages[0].encoder.wide.conv.weight.device.type == 'meta'


@pytest.mark.parametrize('argument', ['init_cfg', 'with_cp', 'frozen_stages'])
def test_arguments_of_whole_backbones_are_refused(argument):
    with pytest.raises(ValueError, match=f'{argument} cannot be set in encoder.*of MSPN itself'):
        backbone(encoder={**ENCODER, argument: None})


def changed(**parts):
    """An encoder of which ``encoder_parts`` returns something else."""
    encoder = MODELS.build(ENCODER)
    stem, layers, channels = encoder.encoder_parts()
    returned = parts.get('returned', (parts.get('stem', stem), parts.get('layers', lambda all_: all_)(layers),
                                      parts.get('channels', channels)))
    encoder.encoder_parts = lambda: returned
    return encoder


def strided(layers: dict) -> dict:
    return dict(layers, wide=ConvModule(8, 16, 3, stride=2, padding=1))


def not_strided(layers: dict) -> dict:
    return dict(layers, widest=ConvModule(24, 32, 3, padding=1))


def without_the_second(layers: dict) -> dict:
    return dict(wide=layers['wide'], widest=layers['widest'])


class TwoOutputs(nn.Module):

    def forward(self, x):
        return x, x


@pytest.mark.parametrize('parts, message', [
    (dict(returned=None), r'encoder_parts of TenLines must return \(stem, layers, channels\).*NoneType'),
    (dict(stem=nn.Conv2d(3, 8, 3)), r'encoder_parts of TenLines must return \(stem, layers, channels\)'),
    (dict(layers=list), r'encoder_parts of TenLines must return \(stem, layers, channels\)'),
    (dict(layers=lambda all_: {'a.b': all_['wide']}), "encoder_parts of TenLines must return.*a\\.b"),
    (dict(channels=(16, 24, 32)),
     r'encoder_parts of TenLines must return 4 channels, those of the stem and of 3 layers, got \(16, 24, 32\)'),
    (dict(layers=lambda all_: dict(wide=all_['wide']), channels=(8, 16)),
     'encoder must have at least 2 layers, one for each unit of a stage, got 1 of TenLines'),
    (dict(channels=(9, 16, 24, 32)), 'the stem of TenLines must have the 9 output channels .* got 8'),
    (dict(channels=(8, 16, 25, 32)), 'wider of TenLines must have the 25 output channels .* got 24'),
    (dict(layers=strided),
     r'wide of TenLines must give \(32, 32\) for a crop of 128 px, got \(16, 16\): the first layer must keep'),
    (dict(layers=not_strided), r'widest of TenLines must give \(8, 8\) .*, got \(16, 16\): .* every other must halve'),
    (dict(layers=without_the_second, channels=(8, 16, 32)),
     r'widest of TenLines does not run on an input of shape \(1, 16, 32, 32\): .*channels'),
    (dict(layers=lambda all_: dict(all_, wide=TwoOutputs())),
     r'wide of TenLines must return one tensor \(B, C, H, W\), got tuple'),
])
def test_parts_that_do_not_fit_are_named(parts, message):
    encoder = changed(**parts)
    with pytest.raises(ValueError, match=message):
        split_encoder(encoder)
    assert encoder.training


def test_backbones_that_cannot_be_split_are_named():
    with pytest.raises(ValueError, match='res_layers .* or have a method encoder_parts.*encoder.py, got HRNet'):
        split_encoder(MODELS.build(dict(type='mmpose.HRNet', extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1, ), num_channels=(4, )),
            **{f'stage{n}': dict(num_modules=1, num_branches=n, block='BASIC', num_blocks=(1, ) * n,
                                 num_channels=(4, ) * n) for n in (2, 3, 4)}))))
