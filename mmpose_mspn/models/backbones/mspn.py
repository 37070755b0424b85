"""MSPN's backbone: "Rethinking on Multi-Stage Networks for Human Pose Estimation", Li et al., 2019, section 3.

One stem, then S stages. A stage is the residual layers of any mmpose backbone on the way down and U units on the
way up; every stage but the last hands its features of each resolution to the next (cross-stage aggregation).
"""
from typing import List, Optional, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.checkpoints.imagenet import load_imagenet
from mmpose_mspn.models.utils.recompute import recompute
from mmpose_mspn.models.utils.resize import resize
from mmpose_mspn.registry import MODELS

NOT_OF_THE_ENCODER = {'frozen_stages', 'norm_eval', 'out_indices', 'init_cfg', 'with_cp', 'zero_init_residual'}
"""Arguments that act on a whole backbone, of which the stages keep the layers only."""


class UpUnit(BaseModule):
    """A unit on the way up: the encoder's feature plus the coarser unit's, and what the next stage gets of both.

    Args:
        in_channels: Channels of the encoder's feature.
        channels: Channels of the unit.
        coarsest: No coarser unit to add.
        gives_skips: The next stage's encoder adds this unit's features.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of every conv.
    """

    def __init__(self, in_channels: int, channels: int, coarsest: bool, gives_skips: bool, conv_args: dict) -> None:
        super().__init__()
        self.lateral = ConvModule(in_channels, channels, 1, act_cfg=None, **conv_args)
        self.up = None if coarsest else ConvModule(channels, channels, 1, act_cfg=None, **conv_args)
        self.skip_encoder = ConvModule(in_channels, in_channels, 1, **conv_args) if gives_skips else None
        self.skip_decoder = ConvModule(channels, in_channels, 1, **conv_args) if gives_skips else None

    def forward(self, encoded: Tensor, coarser: Optional[Tensor]) -> Tuple[Tensor, Optional[Tensor]]:
        """The unit's feature and the sum that the next stage's encoder adds, or ``None``."""
        out = self.lateral(encoded)
        if self.up is not None:
            out = out + self._from_coarser(coarser, encoded.shape[2:])
        out = F.relu(out, inplace=True)
        if self.skip_encoder is None:
            return out, None
        return out, self.skip_encoder(encoded) + self.skip_decoder(out)

    def _from_coarser(self, coarser: Tensor, size: torch.Size) -> Tensor:
        """The coarser unit's feature, resized and convolved.

        The weights of the resize add up to 1, and so it commutes with 1×1 convolutions, and with norms whose statistics
        are fixed: before it they have a quarter of the places.
        """
        if not isinstance(self.up.conv, nn.Conv2d):  # GhostConv looks at neighbors, others may too
            return self.up(resize(coarser, size))
        if not self.training and isinstance(self.up.norm, (_BatchNorm, nn.Identity)):
            return resize(self.up(coarser), size)
        resized = resize(self.up.conv(coarser), size)
        return self.up.norm(resized) if self.up.with_norm else resized


class Stage(BaseModule):
    """A single-stage module: an encoder's layers down, the units up.

    Args:
        encoder: The residual layers, fine to coarse.
        layer_channels: Their output channels.
        unit_channels: Channels of the units.
        in_channels: Channels of the stage's input, hence of the next stage's.
        last: No stage follows.
        gives_skips: The next stage's encoder adds the units' features.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of every conv.
        with_cp: Recompute activations in the backward pass.
    """

    def __init__(self, encoder: nn.ModuleDict, layer_channels: List[int], unit_channels: int, in_channels: int,
                 last: bool, gives_skips: bool, conv_args: dict, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.encoder = encoder
        self.units = nn.ModuleList(
            UpUnit(channels, unit_channels, index == 0, gives_skips, conv_args)
            for index, channels in enumerate(reversed(layer_channels)))
        self.to_next = None if last else ConvModule(unit_channels, in_channels, 1, **conv_args)

    def forward(self, x: Tensor,
                skips: Optional[List[Tensor]]) -> Tuple[List[Tensor], Optional[List[Tensor]], Optional[Tensor]]:
        """Features of the units, coarse to fine; skips for the next stage, fine to coarse; the next stage's input."""
        encoded = []
        for index, layer in enumerate(self.encoder.values()):
            x = self._run(layer, x)
            if skips is not None:
                x = x + skips[index]
            encoded.append(x)
        features, gives = [], []
        out = None
        for unit, feature in zip(self.units, reversed(encoded)):
            out, skip = self._run(unit, feature, out)
            features.append(out)
            gives.append(skip)
        next_input = None if self.to_next is None else self.to_next(out)
        next_skips = None if gives[0] is None else gives[::-1]
        return features, next_skips, next_input

    def _run(self, module: nn.Module, *inputs: Tensor):
        if self.with_cp and self.training:
            return recompute(module, *inputs)
        return module(*inputs)


@MODELS.register_module()
class MSPN(BaseBackbone):
    """Multi-stage pose network.

    Args:
        num_stages: S >= 1.
        encoder: Config of the single-stage module's way down: any mmpose backbone with ``res_layers``, such as
            ResNet, ResNeXt, SEResNet, ResNetV1d or ResNeSt. The default is ResNet-50. Its number of layers is the
            number of units U >= 2, its stem becomes the network's stem.
        unit_channels: Channels of the units, >= 1.
        cross_stage_aggregation: Every stage's encoder adds the features of the stage before (section 3.2). ``False``:
            the stages are joined by their input only.
        norm_cfg: Norm of every conv, the encoder's included unless ``encoder`` names its own.
        conv_cfg: Type of every conv behind the stem, likewise.
        stem_conv_cfg: Type of the stem's convs; ``None`` is a plain one, whatever ``conv_cfg`` is.
        with_cp: Recompute the activations of layers and units in the backward pass: less memory, more time. Norm
            statistics are updated once, so training is the same.
        frozen_stages: -1 none; 0 the stem; n the stem and the first n stages get no gradient and stay in eval mode.
        output: ``'all'``: features [stage][unit]; ``'final'``: a 1-tuple with the finest of the last stage.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with ImageNet weights of the encoder (torchvision's or
            mmpretrain's file) fills the stem and every stage's encoder. Default: Kaiming normal, as the official code.

    Raises:
        ValueError: An argument is out of its range; ``init_weights``: the checkpoint does not fit, with its keys.
    """

    def __init__(self,
                 num_stages: int = 4,
                 encoder: Optional[dict] = None,
                 unit_channels: int = 256,
                 cross_stage_aggregation: bool = True,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 stem_conv_cfg: Optional[dict] = None,
                 with_cp: bool = False,
                 frozen_stages: int = -1,
                 output: str = 'all',
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(init_cfg)
        if num_stages < 1:
            raise ValueError(f'num_stages must be >= 1, got {num_stages}')
        if unit_channels < 1:
            raise ValueError(f'unit_channels must be >= 1, got {unit_channels}')
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'frozen_stages must be -1 ... num_stages ({num_stages}), got {frozen_stages}')
        if output not in ('all', 'final'):
            raise ValueError(f"output must be 'all' or 'final', got {output!r}")
        self.num_stages = num_stages
        self.unit_channels = unit_channels
        self.frozen_stages = frozen_stages
        self.output = output
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        encoder_cfg = {**conv_args, **(encoder or dict(type='ResNet', depth=50))}
        for name in NOT_OF_THE_ENCODER & set(encoder_cfg):
            raise ValueError(f'{name} cannot be set in encoder, whose layers the stages take over: set frozen_stages, '
                             f'with_cp and init_cfg of MSPN itself, got {name}={encoder_cfg[name]!r}')
        if 'num_stages' in encoder_cfg:  # mmpose's backbones want an output that exists
            encoder_cfg['out_indices'] = (encoder_cfg['num_stages'] - 1, )
        stages = []
        for index in range(num_stages):
            built = _build_encoder(encoder_cfg)
            if index == 0:
                # What replaces the convs of the residual layers need not suit an image.
                same = encoder_cfg['conv_cfg'] == stem_conv_cfg
                self.stem = _stem(built if same else _build_encoder({**encoder_cfg, 'conv_cfg': stem_conv_cfg}))
            last = index == num_stages - 1
            layers = nn.ModuleDict({name: getattr(built, name) for name in built.res_layers})
            stages.append(
                Stage(layers, [layer[-1].out_channels for layer in layers.values()], unit_channels,
                      built.stem_channels, last, cross_stage_aggregation and not last, conv_args, with_cp))
        self.stages = nn.ModuleList(stages)
        self.num_units = len(self.stages[0].units)
        self._freeze()

    def forward(self, x: Tensor) -> Union[List[List[Tensor]], Tuple[Tensor]]:
        """Features of a batch of crops (B, 3, h, w), by ``output``; unit j of U lies at 1/(4·2^(U-1-j)) of the crop."""
        x = self.stem(x)
        features, skips = [], None
        for stage in self.stages:
            units, skips, x = stage(x, skips)
            features.append(units)
        return features if self.output == 'all' else (features[-1][-1], )

    def init_weights(self) -> None:
        """Initialize; a checkpoint of the encoder fills the stem and every stage."""
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        asked = self.init_cfg
        if pretrained or asked is None:
            self.init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
            ]
        super().init_weights()
        self.init_cfg = asked
        if pretrained:
            load_imagenet(self, asked['checkpoint'], asked.get('prefix'))

    def train(self, mode: bool = True) -> 'MSPN':
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in [self.stem, *self.stages[:self.frozen_stages]]:
            module.eval()
            module.requires_grad_(False)


def _build_encoder(cfg: dict) -> nn.Module:
    encoder = MMPOSE_MODELS.build(cfg)
    name = cfg['type']
    if not getattr(encoder, 'res_layers', None):
        raise ValueError(f'encoder must be a residual backbone with res_layers (ResNet, ResNeXt, SEResNet, ResNetV1d, '
                         f'ResNeSt …), got {name}')
    if len(encoder.res_layers) < 2:
        raise ValueError(f'encoder must have at least 2 layers, which make 2 units, got {len(encoder.res_layers)}')
    if encoder.strides[0] != 1:
        raise ValueError(f'encoder must keep the resolution in its first layer, strides[0] == 1, for its features go '
                         f'back in at the next stage, got strides={tuple(encoder.strides)} of {name}')
    return encoder


def _stem(encoder: nn.Module) -> nn.Sequential:
    """What the encoder runs before its residual layers: its other children, in the order they were made."""
    stem = nn.Sequential()
    for name, module in encoder.named_children():
        if name not in encoder.res_layers:
            stem.add_module(name, module)
    return stem
