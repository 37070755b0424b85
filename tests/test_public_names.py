"""Names that users' configs, programs and shell scripts hold: none of those in ``data/public_names.json`` may be lost.

``python -m tests.test_public_names`` adds the names that have come since. A name is taken out by hand, in the commit
that takes it out of the package, and CHANGELOG.md says so.
"""
import argparse
import importlib
import json
from pathlib import Path
from typing import Dict, Iterator, List

import pytest
from mmengine.registry import Registry

import mmpose_mspn
from mmpose_mspn import registry
from tests.places import ROOT
from tests.tools import load_tool

RECORD = Path(__file__).parent / 'data/public_names.json'
RECORDED = json.loads(RECORD.read_text(encoding='utf-8')) if RECORD.exists() else {}
PACKAGES = [
    'mmpose_mspn', 'mmpose_mspn.checkpoints', 'mmpose_mspn.codecs', 'mmpose_mspn.datasets',
    'mmpose_mspn.datasets.transforms', 'mmpose_mspn.deploy', 'mmpose_mspn.engine', 'mmpose_mspn.engine.hooks',
    'mmpose_mspn.engine.optim_wrappers', 'mmpose_mspn.evaluation', 'mmpose_mspn.models', 'mmpose_mspn.models.backbones',
    'mmpose_mspn.models.heads', 'mmpose_mspn.models.losses', 'mmpose_mspn.models.pose_estimators',
    'mmpose_mspn.new_dataset', 'mmpose_mspn.new_dataset.converters', 'mmpose_mspn.synthetic_people'
]
"""The packages and modules whose exports are recorded."""
NOT_OURS = {'launch', 'make_model_table', 'model_costs'}
"""Tools whose arguments are torchrun's, or that serve the repository alone."""


class _Parser(BaseException):
    """Carries a tool's parser out of its main, before it reads arguments. No handler of errors catches it."""


def registered_types() -> Dict[str, List[str]]:
    """Names in each registry of ours, after what mmengine imports when it looks up a type."""
    types = {}
    for name, value in vars(registry).items():
        if isinstance(value, Registry) and value.scope == 'mmpose_mspn':
            value.import_from_location()
            types[name] = sorted(value.module_dict)
    return types


def exports() -> Dict[str, List[str]]:
    """Recorded names of each package that still exist in it, and all that it lists in ``__all__``."""
    names = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        kept = [name for name in RECORDED.get('exports', {}).get(package, []) if hasattr(module, name)]
        names[package] = sorted({*kept, *getattr(module, '__all__', [])})
    return names


def tool_options() -> Dict[str, List[str]]:
    """Options and positional arguments of each tool, with the sub-command in front of those that belong to one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_known_args', _raise_parser)
        return {path.stem: sorted(set(_arguments(_parser_of(path.stem)))) for path in sorted(ROOT.glob('tools/*.py'))
                if path.stem not in NOT_OURS}


def _raise_parser(parser: argparse.ArgumentParser, *arguments: object) -> None:
    raise _Parser(parser)


def _parser_of(tool: str) -> argparse.ArgumentParser:
    with pytest.raises(_Parser) as raised:
        load_tool(tool).main()
    return raised.value.args[0]


def _arguments(parser: argparse.ArgumentParser, prefix: str = '') -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, subparser in action.choices.items():
                yield from _arguments(subparser, f'{prefix}{command} ')
        else:
            yield from (prefix + name for name in action.option_strings or [action.dest])


def config_names() -> List[str]:
    return sorted(path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').rglob('*.py'))


def present() -> Dict[str, Dict[str, List[str]]]:
    return dict(types=registered_types(), exports=exports(), tools=tool_options(), configs=dict(files=config_names()))


@pytest.fixture(scope='module')
def names() -> Dict[str, Dict[str, List[str]]]:
    return present()


@pytest.mark.parametrize('kind, part', [(kind, part) for kind, parts in RECORDED.items() for part in parts])
def test_no_recorded_name_is_lost(names, kind, part):
    assert sorted(set(RECORDED[kind][part]) - set(names[kind].get(part, []))) == []


def test_every_export_exists():
    for package in PACKAGES:
        module = importlib.import_module(package)
        assert [name for name in getattr(module, '__all__', []) if not hasattr(module, name)] == [], package


def test_the_record_holds_each_kind():
    assert {kind: bool(parts) for kind, parts in RECORDED.items()} == dict(
        types=True, exports=True, tools=True, configs=True)
    assert set(mmpose_mspn.__all__) >= {'MSPN', 'load', 'export', 'accelerate'}


if __name__ == '__main__':
    current = present()
    merged = {kind: {part: sorted({*current[kind].get(part, []), *RECORDED.get(kind, {}).get(part, [])})
                     for part in {**current[kind], **RECORDED.get(kind, {})}} for kind in current}
    RECORD.write_text(json.dumps(merged, indent=1, sort_keys=True) + '\n', encoding='utf-8')
