"""The encoder of a stage: how a backbone is split into the stem and the layers that a stage runs.

mmpose's residual backbones (those with ``res_layers``) need nothing. Any other backbone becomes an encoder through a
method ``encoder_parts``, in a class that is registered in mmpose's ``MODELS`` or a child of it::

    @MODELS.register_module()
    class MyEncoder(nn.Module):

        def __init__(self, conv_cfg=None, norm_cfg=None):  # MSPN passes its own on
            super().__init__()
            args = dict(kernel_size=3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
            self.conv1 = ConvModule(3, 16, stride=4, **args)
            self.layer1 = ConvModule(16, 32, **args)
            self.layer2 = ConvModule(32, 64, stride=2, **args)

        def encoder_parts(self):
            return dict(conv1=self.conv1), dict(layer1=self.layer1, layer2=self.layer2), (16, 32, 64)

The config then has ``encoder=dict(type='MyEncoder')`` in MSPN and one unit per layer, ``num_units=2``, in MSPNHead.
"""
from typing import NamedTuple, Tuple

import torch
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

from mmpose_mspn.utils.config_types import registered_class
from mmpose_mspn.utils.errors import ConfigError

PROBE_SIZE = 128
"""Side in px of the black crop that checks what ``encoder_parts`` returned."""


class EncoderParts(NamedTuple):
    """What a stage takes from an encoder.

    Attributes:
        stem: From the crop (B, 3, h, w) to the input of the first layer.
        layers: At least two, each from one tensor to one tensor. The first keeps the resolution of its input, every
            other halves it (residual layers that are dilated may keep it). Their names are part of checkpoint keys.
        channels: Output channels of the stem and of each layer.
    """
    stem: nn.Sequential
    layers: nn.ModuleDict
    channels: Tuple[int, ...]


def build_encoder(cfg: dict) -> nn.Module:
    """The encoder of a config; mmpose's backbones get an ``out_indices`` that suits ``num_stages``."""
    if 'num_stages' in cfg and not hasattr(registered_class(cfg['type']), 'encoder_parts'):
        cfg = dict(cfg, out_indices=(cfg['num_stages'] - 1, ))
    return MMPOSE_MODELS.build(cfg)


def split_encoder(encoder: nn.Module) -> EncoderParts:
    """Split an encoder into stem, layers and channels.

    Args:
        encoder: A residual backbone of mmpose, or a module whose ``encoder_parts()`` returns the modules of the stem
            by name, in the order they run, the layers by name, fine to coarse, and the output channels of the stem
            and of each layer. Names that the encoder's own state dict uses let its checkpoints load
            (``init_cfg=dict(type='Pretrained', checkpoint=...)`` of MSPN).

    Returns:
        The parts, with the encoder's own modules.

    Raises:
        ConfigError: The encoder cannot be split, has fewer than two layers, or a layer does not fulfill
            :class:`EncoderParts`; the message names the encoder and the layer.
    """
    name = type(encoder).__name__
    if hasattr(encoder, 'encoder_parts'):
        parts = _declared_parts(encoder, name)
    elif getattr(encoder, 'res_layers', None):
        parts = _residual_parts(encoder, name)
    else:
        raise ConfigError('encoder must be a residual backbone with res_layers (ResNet, ResNeXt, SEResNet, ResNetV1d, '
                          'ResNeSt …) or have a method encoder_parts, as described in '
                          f'mmpose_mspn/models/backbones/encoder.py, got {name}')
    if len(parts.layers) < 2:
        raise ConfigError(f'encoder must have at least 2 layers, one for each unit of a stage, got '
                          f'{len(parts.layers)} of {name}')
    if hasattr(encoder, 'encoder_parts'):
        _check_outputs(encoder, parts, name)
    return parts


def _residual_parts(encoder: nn.Module, name: str) -> EncoderParts:
    """The stem is every child that is not a residual layer, in the order of registration."""
    if encoder.strides[0] != 1:
        raise ConfigError('encoder must keep the resolution in its first layer, strides[0] == 1, because that layer '
                          f'takes the finest features of the stage before, got strides={tuple(encoder.strides)} of '
                          f'{name}')
    stem = nn.Sequential()
    for child_name, child in encoder.named_children():
        if child_name not in encoder.res_layers:
            stem.add_module(child_name, child)
    layers = nn.ModuleDict({layer: getattr(encoder, layer) for layer in encoder.res_layers})
    return EncoderParts(stem, layers, (encoder.stem_channels, *(layer[-1].out_channels for layer in layers.values())))


def _declared_parts(encoder: nn.Module, name: str) -> EncoderParts:
    """The parts that ``encoder_parts`` returns, in torch's containers."""
    declared = encoder.encoder_parts()
    try:
        stem_modules, layers, channels = declared
        stem = nn.Sequential()
        for child_name, child in stem_modules.items():
            stem.add_module(child_name, child)
        parts = EncoderParts(stem, nn.ModuleDict(layers), tuple(channels))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'encoder_parts of {name} must return (stem, layers, channels): two dicts of modules by '
                          f'name, and the output channels of the stem and of each layer ({error})') from error
    if len(parts.channels) != len(parts.layers) + 1:
        raise ConfigError(f'encoder_parts of {name} must return {len(parts.layers) + 1} channels, those of the stem '
                          f'and of {len(parts.layers)} layers, got {parts.channels}')
    return parts


@torch.no_grad()
def _check_outputs(encoder: nn.Module, parts: EncoderParts, name: str) -> None:
    """Run a small crop through the parts, in eval mode, which leaves the statistics of norms as they are."""
    device = next(encoder.parameters()).device
    if device.type == 'meta':  # some operators cannot run without values
        return
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        crop = torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE, device=device)
        x = _checked_output(parts.stem, crop, parts.channels[0], f'the stem of {name}')
        wanted = tuple(x.shape[2:])
        for (layer_name, layer), channels in zip(parts.layers.items(), parts.channels[1:]):
            x = _checked_output(layer, x, channels, f'{layer_name} of {name}')
            if tuple(x.shape[2:]) != wanted:
                raise ConfigError(f'{layer_name} of {name} must give {wanted} for a crop of {PROBE_SIZE} px, got '
                                  f'{tuple(x.shape[2:])}: the first layer must keep the resolution of the stem, every '
                                  'other must halve that of the layer before')
            wanted = tuple((side + 1) // 2 for side in wanted)
    finally:
        for module, mode in modes.items():
            module.training = mode


def _checked_output(module: nn.Module, x: Tensor, channels: int, name: str) -> Tensor:
    try:
        out = module(x)
    except RuntimeError as error:
        raise ConfigError(f'{name} does not run on an input of shape {tuple(x.shape)}: {error}') from error
    if not isinstance(out, Tensor) or out.ndim != 4:
        raise ConfigError(f'{name} must return one tensor (B, C, H, W), got '
                          f'{tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__}')
    if out.shape[1] != channels:
        raise ConfigError(f'{name} must have the {channels} output channels that encoder_parts returned, got '
                          f'{out.shape[1]}')
    return out
