"""docs/deploy.md as printed: its commands and its Python run one after the other, on a few images."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

import tests.exporting  # noqa: F401
from tests.model_files import write_demo
from tests.places import ROOT

BLOCKS = re.findall(r'```(bash|python)\n(.*?)```', (ROOT / 'docs/deploy.md').read_text(encoding='utf-8'), re.S)


def test_the_page_runs_as_printed(tmp_path, monkeypatch, capsys):
    (kind, commands), (other, code) = BLOCKS
    assert (kind, other) == ('bash', 'python')
    write_demo(tmp_path, images=6)
    for name in ('tools', 'configs'):
        (tmp_path / name).symlink_to(ROOT / name)
    found = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    done = subprocess.run(['bash', '-e', '-c', commands], cwd=tmp_path, capture_output=True, text=True,
                          env=dict(os.environ, PATH=found, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore'))
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'coco/AP' in done.stdout and 'px at most from PyTorch' in done.stdout
    exported = tmp_path / 'work_dirs/exported'
    assert {path.name for path in exported.iterdir()} >= {'model.onnx', 'mspn_runtime.py', 'people.jpg', 'people.json'}
    with Image.open(exported / 'people.jpg') as drawn, Image.open(
            tmp_path / 'data/synthetic/val2017/000000000001.jpg') as picture:
        assert drawn.size == picture.size
    monkeypatch.chdir(tmp_path)
    exec(compile(code, 'docs/deploy.md', 'exec'), {})
    assert capsys.readouterr().out.startswith('(1, 17, 3) nose [')
    assert len(json.loads((exported / 'people.json').read_text())['people']) == 1
