"""The import order of the package's folders, and docs/structure.md, which shows it."""
import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from tests.places import ROOT

PACKAGE = ROOT / 'mmpose_mspn'
DOCUMENT = (ROOT / 'docs/structure.md').read_text(encoding='utf-8')

# Each folder or module may import those before it in this list, and itself.
IMPORT_ORDER = [
    'version', 'utils', 'registry', 'checkpoints', 'codecs', 'models', 'data_check', 'datasets', 'evaluation',
    'synthetic_people', 'deploy', 'engine', 'diagnosis', 'apis', 'new_dataset', '__main__'
]
# The compatibility fixes, which the package's own __init__ applies before it imports anything else.
COMPAT = {'compat'}
OF_MMPOSES_MSPN = {'MSPN', 'MSPNHead', 'MegviiHeatmap'}

Import = Tuple[str, List[str]]
"""Module, with dots between its parts, and the names that are imported from it (none for `import module`)."""


def imports_of(source: str, package: str) -> Iterator[Import]:
    """All imports in a module's source, also those inside functions; relative ones are resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split('.')
            parents = parents[:len(parents) - node.level + 1] if node.level else []
            module = '.'.join([*parents, *([node.module] if node.module else [])])
            yield module, [alias.name for alias in node.names]


def folders_of(imported: Import) -> Set[str]:
    """The folders or modules directly below mmpose_mspn that an import reaches; '' is the package's __init__."""
    module, names = imported
    parts = module.split('.')
    if parts[0] != 'mmpose_mspn':
        return set()
    if len(parts) > 1:
        return {parts[1]}
    return {name if name in IMPORT_ORDER or name in COMPAT else '' for name in names or ['']}


def name_of(path: Path) -> str:
    """The folder or module directly below mmpose_mspn that a file belongs to."""
    part = path.relative_to(PACKAGE).parts[0]
    return part[:-3] if part.endswith('.py') else part


def violations(files: Dict[Path, str]) -> List[str]:
    """Imports that break the order, as sentences.

    Args:
        files: Source by path of files below the package's folder.
    """
    found = []
    for path, source in files.items():
        here = name_of(path)
        package = '.'.join(['mmpose_mspn', *path.relative_to(PACKAGE).parts[:-1]])
        for imported in imports_of(source, package):
            for folder in folders_of(imported) - {here}:
                if folder in COMPAT and here not in COMPAT:
                    found.append(f'{path.name} imports {folder}, which only the package itself may')
                elif folder == '':
                    found.append(f'{path.name} imports the whole package')
                elif here not in COMPAT and IMPORT_ORDER.index(folder) > IMPORT_ORDER.index(here):
                    found.append(f'{here}/{path.name} imports {folder}, which comes after {here}')
    return found


def sources() -> Dict[Path, str]:
    """All files of the package but its own __init__."""
    return {path: path.read_text(encoding='utf-8') for path in sorted(PACKAGE.rglob('*.py'))
            if path != PACKAGE / '__init__.py'}


def test_every_folder_has_a_place_in_the_order():
    assert {name_of(path) for path in sources()} - COMPAT == set(IMPORT_ORDER)


def test_no_import_goes_against_the_order():
    assert violations(sources()) == []


@pytest.mark.parametrize('file, source, message', [
    ('codecs/a.py', 'from mmpose_mspn.models import MSPN', 'imports models, which comes after codecs'),
    ('codecs/a.py', 'def f():\n    import mmpose_mspn.engine.hooks', 'imports engine, which comes after codecs'),
    ('datasets/transforms/a.py', 'from ...apis import config', 'imports apis, which comes after datasets'),
    ('apis/a.py', 'from mmpose_mspn.compat import load', 'imports compat, which only the package itself may'),
    ('apis/a.py', 'from .. import compat', 'imports compat, which only the package itself may'),
    ('apis/a.py', 'import mmpose_mspn', 'imports the whole package'),
    ('apis/a.py', 'from mmpose_mspn import accelerate', 'imports the whole package'),
])
def test_imports_against_the_order_are_found(file, source, message):
    found, = violations({PACKAGE / file: source})
    assert message in found


@pytest.mark.parametrize('file, source', [
    ('models/heads/a.py', 'from mmpose_mspn.models.utils import resize\nfrom ..utils import recompute'),
    ('apis/a.py', 'from mmpose_mspn import checkpoints\nimport torch\nfrom mmpose.models import RSN'),
    ('datasets/transforms/a.py', 'from . import half_body\nfrom ..mpii_dataset import MpiiDataset'),
])
def test_imports_in_the_order_pass(file, source):
    assert violations({PACKAGE / file: source}) == []


def test_no_modules_import_each_other_in_a_circle():
    graph = module_graph()
    finished: Set[str] = set()

    def visit(module: str, path: List[str]) -> None:
        assert module not in path, f'a circle of imports: {" -> ".join([*path, module])}'
        if module in finished:
            return
        for imported in sorted(graph[module]):
            visit(imported, [*path, module])
        finished.add(module)

    for module in list(graph):
        visit(module, [])


def module_graph() -> Dict[str, Set[str]]:
    """The modules of the package that each of them imports outside of functions."""
    def dotted(path: Path) -> str:
        parts = path.relative_to(ROOT).with_suffix('').parts
        return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)

    modules = {dotted(path): path for path in PACKAGE.rglob('*.py')}
    graph: Dict[str, Set[str]] = defaultdict(set)
    for module, path in modules.items():
        tree = ast.parse(path.read_text(encoding='utf-8'))
        top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
        package = module if path.name == '__init__.py' else module.rpartition('.')[0]
        for imported, names in imports_of(ast.unparse(top), package):
            within = {f'{imported}.{name}' for name in names} & set(modules)
            # A name that is not a module comes from the package's own __init__.
            graph[module] |= within if len(within) == len(names) and names else within | ({imported} & set(modules))
        graph[module].discard(module)
    return graph


def test_nothing_of_mmposes_own_mspn_is_imported():
    for path, source in sources().items():
        for module, names in imports_of(source, 'mmpose_mspn'):
            if module.split('.')[0] == 'mmpose':
                assert not OF_MMPOSES_MSPN & {*names, *module.split('.')}, path


def test_tools_tests_and_benchmarks_are_not_imported():
    for path, source in sources().items():
        assert not {'tools', 'tests', 'benchmarks'} & {
            module.split('.')[0] for module, _ in imports_of(source, 'mmpose_mspn')}, path


# ---------------------------------------------------------------- the document


def test_the_document_shows_the_order():
    block = DOCUMENT.split('## Import order')[1].split('```')[1]
    shown = [line.split()[0].rstrip('/') for line in block.strip().splitlines()]
    assert [name.replace('.py', '') for name in shown] == IMPORT_ORDER


@pytest.mark.parametrize('path', sorted(set(
    re.findall(r'`((?:mmpose_mspn|configs|tools|tests|benchmarks|docs|requirements)/[\w/.-]*)`', DOCUMENT))))
def test_every_path_in_the_document_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize('name, path', sorted(set(
    re.findall(r'`([\w.]+)`(?: in|,) `([\w/.-]+\.py)`', DOCUMENT) + [
        (name, path) for path, name in re.findall(r'`([\w/.-]+\.py)`, `(\w+)`', DOCUMENT)])))
def test_every_name_in_the_document_occurs_in_its_file(name, path):
    assert re.search(rf'\b{name.split(".")[-1]}\b', (ROOT / path).read_text(encoding='utf-8'))


def test_every_registered_type_is_in_the_document():
    section = DOCUMENT.split('## Types that configs name')[1].split('\n## ')[0]
    shown = set(re.findall(r'`(\w+)`', section)) - {'conv_cfg', 'custom_imports'}
    registered = {
        node.name for source in sources().values() for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
        and any('register_module' in ast.unparse(one) for one in node.decorator_list)}
    assert shown == registered
