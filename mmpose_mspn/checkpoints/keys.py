"""Names of MSPN's parameters in the three layouts: the table that all conversions use.

In a template ``{s}`` is the stage, ``{u}`` the unit from 0, ``{U}`` the unit from 1, ``{f}`` the flat index
stage × units + unit, ``{units}`` U, ``{l}``, ``{b}`` and ``{n}`` any number and ``{rest}`` the remaining path.
"""
import re
from typing import Dict, List, Tuple

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
