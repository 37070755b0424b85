"""Importing the package in fresh interpreters, and what it mends."""
import subprocess
import sys

import pytest
import torch

from mmpose_mspn import compat


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
    """Where a CUDA torchvision stands beside a CPU torch, its first import dies half-way; ours works after that."""
    assert run('try:\n    import torchvision\nexcept RuntimeError:\n    pass\n'
               'import mmpose_mspn, torchvision.transforms\nprint("fine")').strip() == 'fine'


@pytest.mark.parametrize('name, found, message', [
    ('mmpose', '0.29.0', r'needs mmpose>=1.3.0,<1.4, but mmpose 0.29.0 was found: pip install "mmpose>=1.3.0,<1.4"'),
    ('mmcv', '2.2.0', 'needs mmcv>=2.0.1,<2.2, but mmcv 2.2.0 was found'),
    ('torch', '2.0.1', 'needs torch>=2.1, but torch 2.0.1 was found'),
])
def test_versions_outside_the_bounds_are_named(monkeypatch, name, found, message):
    real = compat.metadata.version
    monkeypatch.setattr(compat.metadata, 'version', lambda package: found if package == name else real(package))
    with pytest.raises(ImportError, match=message):
        compat.check_versions()


def test_mmcv_lite_is_named(monkeypatch):
    real = compat.metadata.version

    def version(package: str) -> str:
        if package == 'mmcv':
            raise compat.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(compat.metadata, 'version', version)
    with pytest.raises(ImportError, match='mmcv-lite was found'):
        compat.check_versions()


class Planted:
    """A class that is on no allow-list."""


def test_safe_loading_stays_on(tmp_path):
    if not hasattr(torch.serialization, 'add_safe_globals'):
        pytest.skip('this torch has no allow-list')
    path = tmp_path / 'planted.pth'
    torch.save(dict(meta=Planted()), path)
    with pytest.raises(Exception, match='Planted'):
        torch.load(path, weights_only=True)
