"""Conversion of MSPN's weights from one layout to another, and the table of the names of its parameters in all of them.

In a template ``{s}`` is the stage, ``{u}`` the unit from 0, ``{U}`` the unit from 1, ``{f}`` the flat index
stage × units + unit, ``{units}`` U, ``{l}``, ``{b}`` and ``{n}`` any number and ``{rest}`` the remaining path.
"""
import re
from typing import Dict, List, Mapping, Tuple

import torch
from torch import Tensor

from mmpose_mspn.utils.errors import CheckpointError, UserError
from mmpose_mspn.utils.files import FilePath

LAYOUTS = ('mmpose_mspn', 'official', 'mmpose')

# (mmpose_mspn, official, mmpose); the first row that matches is taken
TABLE: List[Tuple[str, str, str]] = [
    ('backbone.stem.conv1.{rest}', 'top.conv.conv.{rest}', 'backbone.top.top.0.conv.{rest}'),
    ('backbone.stem.bn1.{rest}', 'top.conv.bn.{rest}', 'backbone.top.top.0.bn.{rest}'),
    ('backbone.stages.{s}.encoder.layer{l}.{b}.downsample.0.{rest}',
     'stage{s}.downsample.layer{l}.{b}.downsample.conv.{rest}',
     'backbone.multi_stage_mspn.{s}.downsample.layer{l}.{b}.downsample.conv.{rest}'),
    ('backbone.stages.{s}.encoder.layer{l}.{b}.downsample.1.{rest}',
     'stage{s}.downsample.layer{l}.{b}.downsample.bn.{rest}',
     'backbone.multi_stage_mspn.{s}.downsample.layer{l}.{b}.downsample.bn.{rest}'),
    ('backbone.stages.{s}.encoder.layer{l}.{b}.conv{n}.{rest}',
     'stage{s}.downsample.layer{l}.{b}.conv_bn_relu{n}.conv.{rest}',
     'backbone.multi_stage_mspn.{s}.downsample.layer{l}.{b}.conv{n}.{rest}'),
    ('backbone.stages.{s}.encoder.layer{l}.{b}.bn{n}.{rest}',
     'stage{s}.downsample.layer{l}.{b}.conv_bn_relu{n}.bn.{rest}',
     'backbone.multi_stage_mspn.{s}.downsample.layer{l}.{b}.bn{n}.{rest}'),
    *((f'backbone.stages.{{s}}.units.{{u}}.{ours}.{{rest}}', f'stage{{s}}.upsample.up{{U}}.{official}.{{rest}}',
       f'backbone.multi_stage_mspn.{{s}}.upsample.up{{U}}.{mmpose}.{{rest}}') for ours, official, mmpose in (
           ('lateral', 'u_skip', 'in_skip'),
           ('up', 'up_conv', 'up_conv'),
           ('skip_encoder', 'skip1', 'out_skip1'),
           ('skip_decoder', 'skip2', 'out_skip2'),
       )),
    ('backbone.stages.{s}.to_next.{rest}', 'stage{s}.upsample.up{units}.cross_conv.{rest}',
     'backbone.multi_stage_mspn.{s}.upsample.up{units}.cross_conv.{rest}'),
    ('head.predictors.{s}.{u}.0.{rest}', 'stage{s}.upsample.up{U}.res_conv1.{rest}',
     'head.predict_layers.{f}.conv_layers.0.{rest}'),
    ('head.predictors.{s}.{u}.1.{rest}', 'stage{s}.upsample.up{U}.res_conv2.{rest}',
     'head.predict_layers.{f}.conv_layers.1.{rest}'),
]
_SIGNS = {
    'mmpose_mspn': re.compile(r'backbone\.(stem|stages)\.|head\.predictors\.'),
    'official': re.compile(r'top\.conv\.|stage\d+\.(downsample|upsample)\.'),
    'mmpose': re.compile(r'backbone\.(top|multi_stage_mspn)\.|head\.predict_layers\.'),
}
_OFFICIAL_STEM = 'top.conv.conv.weight'
_RSN = 'backbone.multi_stage_rsn.'
_WRAPPED = re.compile(r'^(?:module\.)?(keypoint_head\.)?')


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
        UserError: ``to`` is unknown, or official for an RSN; the layout is not recognized; or keys do not belong to
            it.
    """
    if to not in LAYOUTS:
        raise UserError(f'to must be one of {", ".join(LAYOUTS)}, got {to!r}')
    weights = unpack(state_dict)
    source = recognize(weights)
    unchanged = 'backbone.' if is_rsn(weights) else ()
    if unchanged and to == 'official':
        raise UserError("to='official' is a layout of MSPN, which has no names for RSN's backbone: use to='mmpose'")
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
        raise CheckpointError(f'these keys belong to no MSPN in the {source} layout: {", ".join(sorted(unknown))}')
    if source != 'official' == to:
        converted = _with_biases(converted)
    return converted


def recognize(state_dict: Mapping) -> str:
    """Return the layout of a pose estimator's weights.

    Raises:
        CheckpointError: The keys fit no layout, or several.
    """
    rsn = is_rsn(state_dict)
    keys = [key for key in state_dict if not (rsn and key.startswith('backbone.'))]
    found = [layout for layout, sign in _SIGNS.items() if any(sign.match(key) for key in keys)]
    if len(found) != 1:
        raise CheckpointError(f'the layout is not recognized: the keys fit {found or "none"} of {list(LAYOUTS)}; '
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
    """Return a copy of a checkpoint's state dict without the prefix ``module.``, which DDP adds.

    The head of mmpose 0.x, which published MSPN, was ``keypoint_head``. It is ``head`` in the copy.
    """
    weights = {_WRAPPED.sub(lambda match: 'head.' if match[1] else '', key): value
               for key, value in find_state_dict(checkpoint).items()}
    # Older data preprocessors saved their mean and std, which are settings of the config.
    return {key: value for key, value in weights.items() if not key.startswith('data_preprocessor.')}


def weights_of(checkpoint: Mapping, path: FilePath) -> Dict[str, Tensor]:
    """Return the state dict of a checkpoint that was read from ``path``.

    Raises:
        CheckpointError: It has no weights, or not all of them are tensors.
    """
    weights = unpack(checkpoint)
    others = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if not weights or others:
        what = f'values that are not tensors among the weights: {", ".join(others)}' if weights else 'no weights'
        raise CheckpointError(f'{path} holds {what}')
    return weights


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
            raise CheckpointError(f'{key} cannot be folded: {mean} is missing')
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


def _pattern(template: str) -> 're.Pattern':
    pattern = re.escape(template).replace(r'\{rest\}', r'(?P<rest>.+)')
    return re.compile(re.sub(r'\\\{(\w+)\\\}', r'(?P<\1>\\d+)', pattern) + '$')


_PATTERNS = {
    layout: [(_pattern(row[column]), row) for row in TABLE] for column, layout in enumerate(LAYOUTS)
}


def translate(key: str, source: str, target: str, units: int) -> str:
    """Return the name of a parameter in another layout.

    Args:
        key: Name in the layout ``source``.
        source: One of :data:`LAYOUTS`.
        target: One of :data:`LAYOUTS`.
        units: U, the number of units per stage.

    Raises:
        KeyError: ``key`` is not a name in the source layout.
    """
    for pattern, row in _PATTERNS[source]:
        match = pattern.match(key)
        if match:
            return row[LAYOUTS.index(target)].format(**_all_indices(match.groupdict(), units))
    raise KeyError(key)


def _all_indices(found: Dict[str, str], units: int) -> Dict[str, str]:
    """The indices found in a name of one layout, completed by those that the other layouts use."""
    indices: Dict[str, object] = dict(found, units=units)
    if 'f' in found:
        stage, unit = divmod(int(found['f']), units)
        indices.update(s=stage, u=unit, U=unit + 1)
    elif 'u' in found or 'U' in found:
        unit = int(found['u']) if 'u' in found else int(found['U']) - 1
        indices.update(u=unit, U=unit + 1, f=int(found['s']) * units + unit)
    return indices


def count_units(keys: List[str], layout: str) -> int:
    """U, the number of units per stage: the highest number of a unit in the keys of a layout."""
    template = dict(mmpose_mspn=r'(?:backbone\.stages\.\d+\.units|head\.predictors\.\d+)\.(\d+)\.',
                    official=r'stage\d+\.upsample\.up(\d+)\.',
                    mmpose=r'backbone\.multi_stage_(?:mspn|rsn)\.\d+\.upsample\.up(\d+)\.')[layout]
    found = [int(match[1]) for match in map(re.compile(template).match, keys) if match]
    return max(found, default=0) + (1 if layout == 'mmpose_mspn' else 0)
