"""The backbone that weights imply by their keys and shapes, and ImageNet weights for the encoders of one."""
import re
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

from mmpose_mspn.utils.errors import CheckpointError

from .convert import convert, count_units, is_rsn, recognize
from .fit import compare_state_dicts
from .reader import read_checkpoint

CODEC = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(192, 256), heatmap_size=(48, 64))
"""Codec of the built head. Any codec serves, because none has weights."""
_CLASSIFIER = ('fc.', 'head.', 'neck.')


def check_complete(weights: Mapping[str, Tensor], config: Union[str, Path, None] = None) -> None:
    """Check that a pose estimator's weights fill their model.

    Args:
        weights: Weights in any layout that :func:`mmpose_mspn.checkpoints.convert` recognizes.
        config: File whose ``model`` the weights must fill. The default is an MSPN of a plain ResNet, or an RSN, of the
            size that the keys imply.

    Raises:
        FileNotFoundError: ``config`` does not exist.
        CheckpointError: Keys are missing, unexpected or of another shape, and the message names them all; or the
            keys imply no model.
    """
    own = _configured(config) if config else _implied(convert(weights))
    # The model of a config may be in mmpose's layout, such as RSN with mmpose's own head.
    mismatches = compare_state_dicts(convert(weights, recognize(own)), own)
    if mismatches:
        whose = str(config) if config else 'the model that the keys imply (name the config with --config to be sure)'
        raise CheckpointError(f'the weights do not fit {whose}: {mismatches}')


def _configured(config: Union[str, Path]) -> Dict[str, Tensor]:
    if not Path(config).is_file():
        raise FileNotFoundError(f'config {config} does not exist')
    cfg = Config.fromfile(config)
    return _state(MMPOSE_MODELS, cfg.model, cfg.get('default_scope', 'mmpose'))


def _state(registry, cfg: dict, scope: str = 'mmpose') -> Dict[str, Tensor]:
    """State dict of a model on the meta device, where weights take neither memory nor time."""
    init_default_scope(scope)
    with torch.device('meta'):
        return registry.build(cfg).state_dict()


def infer_backbone(weights: Mapping[str, Tensor]) -> dict:
    """Config of the backbone that weights in the layout of this package imply: MSPN of a plain ResNet, or RSN.

    Raises:
        CheckpointError: The weights are those of no plain ResNet.
    """
    units = count_units(list(weights), 'mmpose_mspn')
    return _rsn(weights, units) if is_rsn(weights) else _mspn(weights, units)


def _implied(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """State dict of the model that weights in the layout of this package imply."""
    parts = dict(backbone=infer_backbone(weights))
    stages = parts['backbone']['num_stages']
    parts['head'] = dict(
        type='mmpose_mspn.MSPNHead', num_stages=stages, num_units=count_units(list(weights), 'mmpose_mspn'),
        decoder=CODEC, out_channels=_size(weights, r'head\.predictors\.\d+\.\d+\.1\.conv\.weight', 17),
        unit_channels=parts['backbone']['unit_channels'])
    return {f'{name}.{key}': value for name, cfg in parts.items() for key, value in _state(MMPOSE_MODELS, cfg).items()}


def _mspn(weights: Mapping[str, Tensor], units: int) -> dict:
    layer = r'backbone\.stages\.\d+\.encoder\.layer{}\.'
    blocks = [1 + _highest(weights, layer.format(number) + r'(\d+)\.') for number in range(1, units + 1)]
    deep = any(re.match(layer.format(r'\d+') + r'\d+\.conv3\.', key) for key in weights)
    encoder = dict(
        type='ResNet', depth=_depth(blocks, deep), num_stages=units, strides=(1, 2, 2, 2)[:units],
        dilations=(1, ) * units, stem_channels=_size(weights, r'backbone\.stem\.conv1\.weight', 64),
        base_channels=_size(weights, layer.format(1) + r'\d+\.conv1\.weight', 64))
    return dict(
        type='mmpose_mspn.MSPN', encoder=encoder,
        num_stages=1 + _highest(weights, r'backbone\.stages\.(\d+)\.', r'head\.predictors\.(\d+)\.'),
        unit_channels=_size(weights, r'backbone\.stages\.\d+\.units\.\d+\.lateral\.conv\.weight', 256),
        cross_stage_aggregation=any('.skip_encoder.' in key for key in weights))


def _rsn(weights: Mapping[str, Tensor], units: int) -> dict:
    stage = r'backbone\.multi_stage_rsn\.\d+\.'
    return dict(
        type='RSN', num_units=units, num_stages=1 + _highest(weights, r'backbone\.multi_stage_rsn\.(\d+)\.'),
        num_blocks=[1 + _highest(weights, stage + rf'downsample\.layer{number}\.(\d+)\.')
                    for number in range(1, units + 1)],
        num_steps=_highest(weights, stage + r'downsample\.layer1\.0\.conv_bn_relu2_(\d+)_'),
        unit_channels=_size(weights, stage + r'upsample\.up\d+\.in_skip\.conv\.weight', 256))


def _depth(blocks: List[int], deep: bool) -> int:
    """Depth of the ResNet with ``blocks`` blocks in its layers: bottlenecks of three convolutions if ``deep``."""
    settings: Dict[int, Tuple[nn.Module, Tuple[int, ...]]] = MMPOSE_MODELS.get('mmpose.ResNet').arch_settings
    for depth, (_, of_layers) in settings.items():
        if list(of_layers[:len(blocks)]) == blocks and deep == (depth >= 50):
            return depth
    raise CheckpointError(f'no ResNet has layers of {blocks} blocks, as the keys imply: blocks are missing, or the '
                          'encoder is not a plain ResNet, and then its config must be named with --config')


def _highest(weights: Mapping[str, Tensor], *patterns: str) -> int:
    """Highest number that the first group of a pattern matches in a key; 0 if none matches."""
    found = [int(match[1]) for pattern in patterns for key in weights for match in [re.match(pattern, key)] if match]
    return max(found, default=0)


def _size(weights: Mapping[str, Tensor], pattern: str, default: int) -> int:
    """Number of output channels of the first weight whose key matches, or ``default``."""
    found: Optional[str] = next((key for key in weights if re.match(pattern, key)), None)
    return default if found is None else len(weights[found])


def load_imagenet(backbone: nn.Module, checkpoint: str, prefix: Optional[str] = None) -> None:
    """Load a classifier's weights into the stem and into the encoder of every stage of an MSPN backbone.

    Args:
        backbone: :class:`mmpose_mspn.models.MSPN`.
        checkpoint: File or URL, as in ``init_cfg``, in the layout of torchvision, or in that of mmpretrain with the
            prefix ``backbone.``.
        prefix: Prefix of the keys to load, without the final dot. The default is ``'backbone'`` if there are such keys.

    Raises:
        CheckpointError: Keys are missing, unexpected or of another shape. The message names them.
    """
    weights = read_checkpoint(checkpoint)
    weights = weights.get('state_dict', weights)
    if prefix is None and any(key.startswith('backbone.') for key in weights):
        prefix = 'backbone'
    if prefix:
        weights = {key[len(prefix) + 1:]: value for key, value in weights.items() if key.startswith(f'{prefix}.')}
    weights = {key: value for key, value in weights.items() if not key.startswith(_CLASSIFIER)}
    layers = tuple(f'{name}.' for name in backbone.stages[0].encoder)
    in_layers = {key: value for key, value in weights.items() if key.startswith(layers)}
    in_stem = {key: value for key, value in weights.items() if key not in in_layers}
    mismatches = {'stem': compare_state_dicts(in_stem, backbone.stem.state_dict())}
    for index, stage in enumerate(backbone.stages):
        mismatches[f'stages.{index}.encoder'] = compare_state_dicts(in_layers, stage.encoder.state_dict())
    if any(mismatches.values()):
        raise CheckpointError(f'{checkpoint} does not fit the encoder: '
                              + '; '.join(f'{part}: {found}' for part, found in mismatches.items() if found))
    backbone.stem.load_state_dict(in_stem, strict=False)
    for stage in backbone.stages:
        stage.encoder.load_state_dict(in_layers, strict=False)
    print_log(f'{checkpoint}: {len(in_stem)} tensors into the stem, {len(in_layers)} into each of '
              f'{len(backbone.stages)} encoders', 'current')
