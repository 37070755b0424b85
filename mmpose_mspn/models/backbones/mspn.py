"""MSPN's backbone: "Rethinking on Multi-Stage Networks for Human Pose Estimation", Li et al., 2019, section 3.

One stem, then S stages. A stage runs the layers of an encoder (``encoder.py``) on the way down and U units on the way
up. Every stage but the last passes its features of each resolution to the next stage (cross-stage aggregation).
"""
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpose.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.checkpoints.infer_backbone import load_imagenet
from mmpose_mspn.models.backbones.encoder import build_encoder, split_encoder
from mmpose_mspn.models.utils import recompute, resize
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.arguments import refuse_unknown_arguments
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.numbers import is_integer

NOT_FOR_ENCODER = {'frozen_stages', 'norm_eval', 'out_indices', 'init_cfg', 'with_cp', 'zero_init_residual'}
"""Arguments that act on a whole backbone. Stages use only its layers, so these would have no effect."""


class UpUnit(BaseModule):
    """A unit on the way up: the sum of the encoder's feature and the coarser unit's.

    Args:
        in_channels: Channels of the encoder's feature.
        channels: Channels of the unit.
        is_coarsest: Whether this is the first unit of the stage, which has no coarser unit to add.
        feeds_next_encoder: Whether the next stage's encoder adds features of this unit.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of every convolution.
    """

    def __init__(self, in_channels: int, channels: int, is_coarsest: bool, feeds_next_encoder: bool,
                 conv_args: dict) -> None:
        super().__init__()
        self.lateral = ConvModule(in_channels, channels, 1, act_cfg=None, **conv_args)
        self.up = None if is_coarsest else ConvModule(channels, channels, 1, act_cfg=None, **conv_args)
        self.skip_encoder = ConvModule(in_channels, in_channels, 1, **conv_args) if feeds_next_encoder else None
        self.skip_decoder = ConvModule(channels, in_channels, 1, **conv_args) if feeds_next_encoder else None

    def forward(self, encoded: Tensor, coarser: Optional[Tensor]) -> Tuple[Tensor, Optional[Tensor]]:
        """The unit's feature (B, channels, H', W') and what the next stage's encoder adds (B, in_channels, H', W').

        Args:
            encoded: The encoder's feature (B, in_channels, H', W').
            coarser: The coarser unit's feature, of any resolution; ``None`` for the coarsest unit.
        """
        out = self.lateral(encoded)
        if self.up is not None:
            out = out + self._from_coarser(coarser, encoded.shape[2:])
        out = F.relu(out, inplace=True)
        if self.skip_encoder is None:
            return out, None
        return out, self.skip_encoder(encoded) + self.skip_decoder(out)

    def _from_coarser(self, coarser: Tensor, size: torch.Size) -> Tensor:
        """The coarser unit's feature, resized to ``size`` and convolved.

        The weights of a bilinear resize sum to 1, so it commutes with 1×1 convolutions and with norms whose statistics
        are fixed. Both are therefore applied before the resize, where there is a quarter of the positions.
        """
        if not isinstance(self.up.conv, nn.Conv2d):  # GhostConv also reads neighbors, other types may do so too
            return self.up(resize(coarser, size))
        if not self.training and isinstance(self.up.norm, (_BatchNorm, nn.Identity)):
            return resize(self.up(coarser), size)
        resized = resize(self.up.conv(coarser), size)
        return self.up.norm(resized) if self.up.with_norm else resized


class Stage(BaseModule):
    """A single-stage module: an encoder's layers on the way down, units on the way up.

    Args:
        encoder: The encoder's layers by name, fine to coarse.
        layer_channels: Output channels of each layer.
        unit_channels: Channels of the units.
        in_channels: Channels of a stage's input.
        is_final: Whether this is the final stage, which computes no input for a next one.
        feeds_next_encoder: Whether the next stage's encoder adds features of this stage's units.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of every convolution of the units.
        with_cp: Whether activations are recomputed in the backward pass.
    """

    def __init__(self, encoder: nn.ModuleDict, layer_channels: Sequence[int], unit_channels: int, in_channels: int,
                 is_final: bool, feeds_next_encoder: bool, conv_args: dict, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.encoder = encoder
        self.units = nn.ModuleList(
            UpUnit(channels, unit_channels, index == 0, feeds_next_encoder, conv_args)
            for index, channels in enumerate(reversed(layer_channels)))
        self.to_next = None if is_final else ConvModule(unit_channels, in_channels, 1, **conv_args)

    def forward(self, x: Tensor,
                skips: Optional[List[Tensor]]) -> Tuple[List[Tensor], Optional[List[Tensor]], Optional[Tensor]]:
        """Run the stage.

        Args:
            x: The stage's input (B, in_channels, H', W').
            skips: What each layer of the encoder adds to its output, fine to coarse; ``None`` to add nothing.

        Returns:
            The units' features, coarse to fine; the ``skips`` of the next stage; the input of the next stage. The last
            two are ``None`` where the next stage gets none.
        """
        encoded = []
        for index, layer in enumerate(self.encoder.values()):
            x = self._run(layer, x)
            if skips is not None:
                x = x + skips[index]
            encoded.append(x)
        features, skips_up = [], []
        out = None
        for unit, feature in zip(self.units, reversed(encoded)):
            out, skip = self._run(unit, feature, out)
            features.append(out)
            skips_up.append(skip)
        next_input = None if self.to_next is None else self.to_next(out)
        next_skips = None if skips_up[0] is None else skips_up[::-1]
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
        encoder: Config of the backbone whose layers every stage runs on the way down: a residual backbone of mmpose,
            such as ResNet, ResNeXt, SEResNet, ResNetV1d or ResNeSt, or any backbone that ``encoder.py`` can split. The
            default is ResNet-50. Its number of layers is the number of units U >= 2, and its stem becomes the
            network's stem.
        unit_channels: Channels of the units, >= 1.
        cross_stage_aggregation: Whether every stage's encoder adds the features of the stage before (section 3.2).
            ``False``: a stage passes on nothing but the next stage's input.
        norm_cfg: Norm behind every convolution, those of the encoder included unless ``encoder`` names its own.
        conv_cfg: Type of every convolution behind the stem, those of the encoder included unless ``encoder`` names its
            own.
        stem_conv_cfg: Type of the stem's convolutions; ``None`` is a plain one, whatever ``conv_cfg`` is.
        with_cp: Whether the activations of layers and units are recomputed in the backward pass, which takes less
            memory and more time. Norm statistics are updated once per step, so training is the same.
        frozen_stages: -1: none; 0: the stem; n: the stem and the first n stages. Frozen parts get no gradient and stay
            in eval mode.
        output: ``'all'``: features [stage][unit]; ``'final'``: a 1-tuple with the finest feature of the last stage.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with ImageNet weights of the encoder (torchvision's or
            mmpretrain's file) fills the stem and every stage's encoder. Default: Kaiming normal, as in the official
            code.

    Raises:
        ConfigError: An argument is out of its range, or the encoder cannot be split; ``init_weights``: the checkpoint
            does not fit, with its keys.
    """

    @refuse_unknown_arguments(dict(
        num_units='omit it: the number of units is that of the encoder\'s layers, 4 with a ResNet',
        num_blocks="write encoder=dict(type='ResNet', depth=50) for (3, 4, 6, 3)",
        res_top_channels='omit it: the stem has the channels of the encoder',
        upsample_chl_num='write unit_channels',
        stage_num='write num_stages'))
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
        for name, number in (('num_stages', num_stages), ('unit_channels', unit_channels)):
            if not is_integer(number) or number < 1:
                raise ConfigError(f'{name} must be an integer >= 1, got {number!r}')
        if not is_integer(frozen_stages) or not -1 <= frozen_stages <= num_stages:
            raise ConfigError(f'frozen_stages must be -1 ... num_stages ({num_stages}), got {frozen_stages}')
        if output not in ('all', 'final'):
            raise ConfigError(f"output must be 'all' or 'final', got {output!r}")
        self.num_stages = num_stages
        self.unit_channels = unit_channels
        self.frozen_stages = frozen_stages
        self.output = output
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        encoder_cfg = {**conv_args, **(encoder or dict(type='ResNet', depth=50))}
        for name in NOT_FOR_ENCODER & set(encoder_cfg):
            raise ConfigError(f'{name} cannot be set in encoder, of which MSPN uses only the layers: set '
                              f'frozen_stages, with_cp and init_cfg of MSPN itself, got {name}={encoder_cfg[name]!r}')
        stages = []
        for index in range(num_stages):
            stem, layers, (in_channels, *layer_channels) = split_encoder(build_encoder(encoder_cfg))
            if index == 0:
                if encoder_cfg['conv_cfg'] != stem_conv_cfg:  # what suits features need not suit an image
                    stem = split_encoder(build_encoder({**encoder_cfg, 'conv_cfg': stem_conv_cfg})).stem
                self.stem = stem
            is_final = index == num_stages - 1
            stages.append(
                Stage(layers, layer_channels, unit_channels, in_channels, is_final,
                      cross_stage_aggregation and not is_final, conv_args, with_cp))
        self.stages = nn.ModuleList(stages)
        self.num_units = len(self.stages[0].units)
        self._freeze()

    def forward(self, x: Tensor) -> Union[List[List[Tensor]], Tuple[Tensor]]:
        """Features of a batch of crops (B, 3, h, w), in the form that ``output`` names.

        A unit has the resolution of the encoder's layer that it adds: with a ResNet, unit j of U has the crop's divided
        by 4 · 2^(U-1-j).
        """
        x = self.stem(x)
        features, skips = [], None
        for stage in self.stages:
            units, skips, x = stage(x, skips)
            features.append(units)
        return features if self.output == 'all' else (features[-1][-1], )

    def init_weights(self) -> None:
        """Initialize all weights; a checkpoint of the encoder fills the stem and every stage's encoder."""
        configured = self.init_cfg
        pretrained = isinstance(configured, dict) and configured['type'] == 'Pretrained'
        if pretrained or configured is None:
            self.init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
            ]
        super().init_weights()
        self.init_cfg = configured
        if pretrained:
            load_imagenet(self, configured['checkpoint'], configured.get('prefix'))

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
