"""Compatibility fixes: importing the package in new processes, and version bounds."""
import subprocess
import sys
import warnings

import cv2
import pytest
from mmengine.config import Config
from mmpose.registry import MODELS

from mmpose_mspn import compat
from mmpose_mspn.checkpoints.fit import Mismatches, compare_state_dicts
from tests.places import DEMO, ROOT


def run(code: str) -> str:
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('code', [
    'import mmpose_mspn, importlib; importlib.reload(mmpose_mspn); print("fine")',
    'import mmpose; import mmpose_mspn; import mmpose.apis; print("fine")',
    'import mmpose_mspn; import mmpose.apis; import torchvision.transforms; print("fine")',
    'from mmpose.registry import MODELS; print("fine" if MODELS.get("mmpose_mspn.MSPN") else "")',
])
def test_import_orders(code):
    assert run(code).strip() == 'fine'


def test_importing_after_torchvision_has_failed():
    """A CUDA build of torchvision beside a CPU build of torch fails in its first import, not in the one after ours."""
    assert run('try:\n    import torchvision\nexcept RuntimeError:\n    pass\n'
               'import mmpose_mspn, torchvision.transforms\nprint("fine")').strip() == 'fine'


@pytest.mark.parametrize('name, found, message', [
    ('mmpose', '0.29.0', r'needs mmpose>=1.3.2,<1.4, but mmpose 0.29.0 was found: pip install "mmpose>=1.3.2,<1.4"'),
    ('mmcv', '2.2.0', 'needs mmcv>=2.1.0,<2.2, but mmcv 2.2.0 was found'),
    ('torch', '2.0.1', 'needs torch>=2.1, but torch 2.0.1 was found'),
])
def test_versions_outside_the_bounds_are_named(monkeypatch, name, found, message):
    real = compat.metadata.version
    monkeypatch.setattr(compat.metadata, 'version', lambda package: found if package == name else real(package))
    with pytest.raises(ImportError, match=message):
        compat.check_versions()


@pytest.mark.parametrize('version, warns', [('4.8.1', False), ('4.11.0', False), ('5.0.0', True), ('5.1.0-dev', True)])
def test_an_opencv_that_cuts_other_crops_is_named(monkeypatch, version, warns):
    monkeypatch.setattr(cv2, '__version__', version)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        compat.warn_of_other_crops()
    assert [str(one.message).split(' cuts')[0] for one in said] == [f'OpenCV {version}'] * warns


def test_mmcv_lite_is_named(monkeypatch):
    real = compat.metadata.version

    def version(package: str) -> str:
        if package == 'mmcv':
            raise compat.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(compat.metadata, 'version', version)
    with pytest.raises(ImportError, match='mmcv-lite was found'):
        compat.check_versions()


def test_a_config_outside_of_the_repository_has_a_base_of_the_package(tmp_path):
    name = DEMO.relative_to(ROOT / 'configs').as_posix()
    (tmp_path / 'own.py').write_text(f"_base_ = 'mmpose_mspn::{name}'\nmax_iters = 3\n")
    own = Config.fromfile(tmp_path / 'own.py')
    base = Config.fromfile(DEMO)
    assert own.max_iters == 3 != base.max_iters and {**own.codec, '_scope_': None} == {**base.codec, '_scope_': None}
    weights = [MODELS.build(config.model).state_dict() for config in (own, base)]
    assert compare_state_dicts(*weights) == Mismatches([], [], [])
