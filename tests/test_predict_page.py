"""docs/predict.md as printed: its Python and its commands run one after the other, on a few images."""
import json
import re
from pathlib import Path

import pytest

from tests.launching import python
from tests.model_files import write_demo
from tests.places import ROOT

BLOCKS = re.findall(r'```(bash|python)\n(.*?)```', (ROOT / 'docs/predict.md').read_text(encoding='utf-8'), re.S)


@pytest.fixture
def demo(tmp_path, monkeypatch) -> Path:
    """A working directory with the repository's tools, in which ``make demo`` has run."""
    write_demo(tmp_path, images=6)
    (tmp_path / 'tools').symlink_to(ROOT / 'tools')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_as_printed(demo, capsys):
    code = ''.join(block for kind, block in BLOCKS if kind == 'python')
    names: dict = {}
    exec(compile(code, 'docs/predict.md', 'exec'), names)
    printed = capsys.readouterr().out.splitlines()
    assert '(2, 17, 2) (2, 17) nose' in printed
    assert [line.split()[:2] for line in printed[-6:]] == [[f'00000000000{number}.jpg', '1'] for number in range(1, 7)]
    assert names['drawn'].ndim == 3 and len(names['people']) == 2

    for line in _commands():
        done = python(*line.split()[1:], cwd=demo)
        assert done.returncode == 0, done.stderr
    whole, parts = ((demo / f'work_dirs/{name}/predictions.json').read_text() for name in ('all', 'parts'))
    assert whole == parts and len(json.loads(whole)['images']) == 6


def _commands() -> list:
    """The commands of the page; the loop over the shards is unrolled as the shell does it."""
    found = []
    for kind, block in BLOCKS:
        if kind == 'bash':
            block = block.replace('\\\n', ' ')
            loop = re.search(r'for shard in (.*?); do\n(.*?)\ndone\n', block, re.S)
            if loop:
                unrolled = '\n'.join(loop[2].replace('$shard', shard) for shard in loop[1].split())
                block = block.replace(loop[0], unrolled + '\n')
            found += [line.strip() for line in block.splitlines() if line.strip()]
    assert len(found) == 5 and all(line.startswith('python tools/') for line in found)
    return found
