"""Importing the package in fresh interpreters, and what it mends."""
import http.server
import pickle
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmpose_mspn import compat
from tests.planted import plant


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


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_no_loader_runs_code(tmp_path, monkeypatch, zipped):
    """From a file and from a download: torch's default would run it for the download, and below 2.6 for the file."""
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    with http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for place in (str(tmp_path), f'http://127.0.0.1:{server.server_port}'):
            with pytest.raises(pickle.UnpicklingError, match='mkdir'):
                CheckpointLoader.load_checkpoint(f'{place}/planted.pth')
        server.shutdown()
    assert not folder.exists()
    torch.load(tmp_path / 'planted.pth', weights_only=False)  # it would have run
    assert folder.exists()


class Quiet(http.server.SimpleHTTPRequestHandler):

    def log_message(self, *args) -> None:
        pass


def test_torchs_loader_is_as_before_outside_of_mmengines(tmp_path):
    torch.save(dict(kept=pytest.approx(1.)), tmp_path / 'objects.pth')
    assert torch.load(tmp_path / 'objects.pth', weights_only=False)['kept'] == 1


def runner_checkpoint(path):
    history = HistoryBuffer([1., np.float32(2.)], [1, 1])
    torch.save(dict(message_hub=dict(loss=history, best=np.float64(3.)), state_dict=dict(w=torch.arange(3.))), path)


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_the_loader_for_torch_without_an_allow_list(tmp_path, zipped):
    """Below 2.4: Runner checkpoints load, code does not run."""
    arguments = dict(weights_only=False, pickle_module=compat.restricted_pickle())
    runner_checkpoint(tmp_path / 'runner.pth')
    loaded = torch.load(tmp_path / 'runner.pth', **arguments)
    assert loaded['message_hub']['loss'].current() == 2 and loaded['message_hub']['best'] == 3
    assert loaded['state_dict']['w'].tolist() == [0, 1, 2]
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir is on no allow-list'):
        torch.load(tmp_path / 'planted.pth', **arguments)
    assert not folder.exists()


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (dict, 'pop')])
def test_getattr_is_no_way_around(tmp_path, owner, name):
    """A history buffer's file asks for getattr; it may fetch the buffer's methods, nothing else."""
    torch.save(dict(meta=Fetch(owner, name)), tmp_path / 'fetch.pth')
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'fetch.pth'))


class Fetch:

    def __init__(self, *arguments) -> None:
        self.arguments = arguments

    def __reduce__(self):
        return getattr, self.arguments


def test_runner_checkpoints_load(tmp_path):
    runner_checkpoint(tmp_path / 'runner.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'runner.pth'))['message_hub']['loss'].current() == 2


@pytest.mark.parametrize('version, aliases', [('2.5.1', False), ('2.6.0', True)])
def test_names_in_the_file_only_where_torch_takes_them(monkeypatch, version, aliases):
    """Below 2.6 the allow-list asks each entry for its __name__, which a pair does not have."""
    given = []
    monkeypatch.setattr(torch, '__version__', version)
    monkeypatch.setattr(torch.serialization, 'add_safe_globals', given.extend)
    compat.allow_runner_checkpoints()
    assert HistoryBuffer in [entry[0] if aliases else entry for entry in given]
    assert all(isinstance(entry, tuple) == aliases for entry in given)
