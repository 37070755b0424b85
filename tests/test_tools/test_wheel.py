"""The wheel, installed without the repository: its configs and tools work from any folder."""
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.launching import environment, python
from tests.places import DEMO, ROOT

BUILT_FROM = ['setup.py', 'README.md', 'LICENSE', 'MANIFEST.in', 'model-index.yml', 'mspn_runtime.py',
              'requirements', 'configs', 'tools', 'mmpose_mspn']
BELOW = DEMO.relative_to(ROOT / 'configs').as_posix()
SHORT = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'train_dataloader.batch_size=2',
         'train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1']

FROM_PYTHON = """
import sys
from pathlib import Path
import mmpose_mspn, mspn_runtime
from mmengine.config import Config
home = Path(sys.path[1])  # PYTHONPATH
assert all(Path(one.__file__).is_relative_to(home) for one in (mmpose_mspn, mspn_runtime)), sys.path
assert Config.fromfile('named.py').input_size == (96, 128)
name = Path(sys.argv[1]).stem
for config in (None, name, f'mmpose_mspn::{sys.argv[1]}'):
    model = mmpose_mspn.load('work/iter_1.pth', config, device='cpu')
    assert model.predict('people/val2017/000000000001.jpg').keypoints.shape[1:] == (17, 2)
print('fine')
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """Folder into which the wheel is installed. It is built from copies, so that the repository stays as it is."""
    folder = tmp_path_factory.mktemp('wheel')
    (folder / 'source').mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / 'source' / name, symlinks=True,
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(ROOT / name, folder / 'source')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    quiet = dict(check=True, capture_output=True, cwd=folder)
    subprocess.run([*pip, 'wheel', folder / 'source', '--no-deps', '--no-build-isolation', '-w', folder], **quiet)
    wheel, = folder.glob('*.whl')
    subprocess.run([*pip, 'install', wheel, '--no-deps', '--target', folder / 'installed'], **quiet)
    shutil.rmtree(folder / 'source')
    return folder / 'installed'


def run(installed: Path, cwd: Path, *arguments: object) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=dict(environment(), PYTHONPATH=str(installed)))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def test_a_config_of_the_package_trains_from_another_folder(installed, tmp_path):
    run(installed, tmp_path, '-m', 'mmpose_mspn', 'make_synthetic', 'people', '--train', 4, '--val', 1, '--workers', 1)
    base = installed / 'mmpose_mspn/.mim/configs' / BELOW
    (tmp_path / 'mine.py').write_text(f'_base_ = {str(base)!r}\n')
    done = run(installed, tmp_path, '-m', 'mmpose_mspn', 'train', 'mine.py', '--no-validate', '--data-root', 'people',
               '--work-dir', 'work', '--cfg-options', *SHORT)
    assert (tmp_path / 'work/iter_1.pth').exists(), done.stdout[-2000:]
    (tmp_path / 'named.py').write_text(f"_base_ = 'mmpose_mspn::{BELOW}'\n")
    assert run(installed, tmp_path, '-c', FROM_PYTHON, BELOW).stdout.splitlines()[-1] == 'fine'


def test_the_wheel_holds_what_mim_and_the_page_need(installed):
    package = installed / 'mmpose_mspn'
    assert {path.name for path in (ROOT / 'configs').rglob('*.py')} == {
        path.name for path in (package / '.mim/configs').rglob('*.py')}
    assert (package / '.mim/model-index.yml').is_file() and not (package / '.mim').is_symlink()
    kept = {path.name for path in (ROOT / 'tools').iterdir() if path.is_file()}
    assert {path.name for path in (package / '.mim/tools').iterdir() if path.is_file()} == kept - {
        'make_model_table.py', 'model_costs.py', 'setup_env.sh'}
    assert os.listdir(package / 'diagnosis/page') and not (installed / 'tests').exists()


def test_the_extras_name_what_exports_and_their_runtime_need(installed):
    wheel, = distributions(path=[str(installed)], name='mmpose_mspn')
    needed = {}
    for requirement in map(Requirement, wheel.requires):
        extra = re.search(r'extra == "(\w+)"', str(requirement.marker))
        needed.setdefault(extra[1] if extra else None, set()).add(requirement.name)
    assert needed['runtime'] == {'numpy', 'pillow', 'onnxruntime'}
    assert needed['export'] == {'onnx', 'onnxscript', 'onnxruntime'} and needed['openvino'] == {'openvino'}
    assert needed[None] >= {'torch', 'mmcv', 'mmengine', 'mmpose'}  # which the runtime does not need


@pytest.mark.parametrize('arguments, code, said', [
    (['--help'], 0, 'TOOL is one of check_data, '), ([], 2, 'usage: python -m mmpose_mspn'),
    (['trian'], 2, "got trian; did you mean 'train'"), (['train', 'nowhere.py'], 1, 'config nowhere.py does not exist')
])
def test_tools_run_by_name(arguments, code, said):
    done = python(ROOT / 'mmpose_mspn/__main__.py', *arguments)
    assert done.returncode == code and said in done.stdout + done.stderr
