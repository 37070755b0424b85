"""Conversion of MSPN's weights from one layout to another."""
import re
from typing import Dict, Mapping

import torch
from torch import Tensor

from .keys import LAYOUTS, count_units, translate

_SIGNS = {
    'mmpose_mspn': re.compile(r'backbone\.(stem|stages)\.|head\.predictors\.'),
    'official': re.compile(r'top\.conv\.|stage\d+\.(downsample|upsample)\.'),
    'mmpose': re.compile(r'backbone\.(top|multi_stage_mspn)\.|head\.predict_layers\.'),
}
_OFFICIAL_STEM = 'top.conv.conv.weight'
_RSN = 'backbone.multi_stage_rsn.'


def convert(state_dict: Mapping, to: str = 'mmpose_mspn') -> Dict[str, Tensor]:
    """Convert the weights of a whole pose estimator to another layout.

    The source layout is recognized by its keys. ``{'model': …}``, ``{'state_dict': …}`` and DDP's prefix ``module.``
    are unpacked. With mmpose's RSN as the backbone, only the keys of the head change, because the backbone is mmpose's
    under both heads.

    From the official layout, the biases of convolutions are folded into the running means of the norms that follow
    them, which is exact in eval mode, and the input channels of the stem change from BGR to RGB. To the official
    layout, the biases are zeros and the stem changes back to BGR.

    Args:
        state_dict: Weights, or a checkpoint that holds them.
        to: ``'mmpose_mspn'``, ``'official'`` or ``'mmpose'``.

    Returns:
        Weights with the keys ``backbone.…`` and ``head.…``, or those of the official layout. Tensors that do not
        change are shared with the input.

    Raises:
        ValueError: ``to`` is unknown, or official for an RSN; the layout is not recognized; or keys do not belong to
            it.
    """
    if to not in LAYOUTS:
        raise ValueError(f'to must be one of {", ".join(LAYOUTS)}, got {to!r}')
    weights = unpack(state_dict)
    source = recognize(weights)
    unchanged = 'backbone.' if is_rsn(weights) else ()
    if unchanged and to == 'official':
        raise ValueError("to='official' is a layout of MSPN, which has no names for RSN's backbone: use to='mmpose'")
    units = count_units(list(weights), source)
    if source == 'official' != to:
        weights = _without_biases(weights)
    converted, unknown = {}, []
    for key, value in weights.items():
        try:
            converted[key if key.startswith(unchanged) else translate(key, source, to, units)] = value
        except KeyError:
            unknown.append(key)
    if unknown:
        raise ValueError(f'these keys belong to no MSPN in the {source} layout: {", ".join(sorted(unknown))}')
    if source != 'official' == to:
        converted = _with_biases(converted)
    return converted


def recognize(state_dict: Mapping) -> str:
    """Return the layout of a pose estimator's weights.

    Raises:
        ValueError: The keys fit no layout, or several.
    """
    rsn = is_rsn(state_dict)
    keys = [key for key in state_dict if not (rsn and key.startswith('backbone.'))]
    found = [layout for layout, sign in _SIGNS.items() if any(sign.match(key) for key in keys)]
    if len(found) != 1:
        raise ValueError(f'the layout is not recognized: the keys fit {found or "none"} of {list(LAYOUTS)}; '
                         f'the first are {list(state_dict)[:3]}')
    return found[0]


def is_rsn(state_dict: Mapping) -> bool:
    """Whether the backbone is mmpose's RSN, whose keys are the same in all layouts."""
    return any(key.startswith(_RSN) for key in state_dict)


def find_state_dict(checkpoint: Mapping) -> Mapping:
    """Return the state dict of a checkpoint, which may be the value of ``state_dict`` or ``model``."""
    for name in ('state_dict', 'model'):
        if isinstance(checkpoint.get(name), Mapping):
            checkpoint = checkpoint[name]
    return checkpoint


def unpack(checkpoint: Mapping) -> Dict[str, Tensor]:
    """Return a copy of a checkpoint's state dict without the prefix ``module.``, which DDP adds."""
    weights = {re.sub(r'^module\.', '', key): value for key, value in find_state_dict(checkpoint).items()}
    # Older data preprocessors saved their mean and std, which are settings of the config.
    return {key: value for key, value in weights.items() if not key.startswith('data_preprocessor.')}


def _swap_stem(weights: Dict[str, Tensor]) -> None:
    if _OFFICIAL_STEM in weights:
        weights[_OFFICIAL_STEM] = weights[_OFFICIAL_STEM].flip(1)


def _norm_of(bias: str) -> str:
    """Prefix of the norm that follows the convolution with this bias."""
    return re.sub(r'conv\.bias$', 'bn.', bias)


def _without_biases(official: Dict[str, Tensor]) -> Dict[str, Tensor]:
    weights = dict(official)
    for key in [key for key in weights if key.endswith('.conv.bias')]:
        mean = _norm_of(key) + 'running_mean'
        if mean not in weights:
            raise ValueError(f'{key} cannot be folded: {mean} is missing')
        weights[mean] = weights[mean] - weights.pop(key)
    _swap_stem(weights)
    return weights


def _with_biases(official: Dict[str, Tensor]) -> Dict[str, Tensor]:
    weights = {}
    for key, value in official.items():
        weights[key] = value
        if key.endswith('.conv.weight'):
            weights[re.sub('weight$', 'bias', key)] = torch.zeros_like(value[:, 0, 0, 0])
    _swap_stem(weights)
    return weights
