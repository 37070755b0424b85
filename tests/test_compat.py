"""Compatibility fixes: importing the package in new processes, version bounds, and loading without running code."""
import _codecs
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmpose.registry import MODELS

from mmpose_mspn import compat
from mmpose_mspn.checkpoints.fit import Mismatches, compare_state_dicts
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
    """A CUDA build of torchvision beside a CPU build of torch fails in its first import, not in the one after ours."""
    assert run('try:\n    import torchvision\nexcept RuntimeError:\n    pass\n'
               'import mmpose_mspn, torchvision.transforms\nprint("fine")').strip() == 'fine'


def test_importing_leaves_torchs_loading_alone():
    """The same function, and nothing of mmengine or numpy on the allow-list of the process."""
    assert run('import torch\nbefore = torch.load, torch.hub.load_state_dict_from_url\n'
               'import mmpose_mspn\nassert (torch.load, torch.hub.load_state_dict_from_url) == before\n'
               'ours = mmpose_mspn.compat.runner_globals()\n'
               'listed = getattr(torch.serialization, "get_safe_globals", list)()  # torch 2.1 has no list\n'
               'print(len(ours), set(ours) & set(listed))').split()[1:] == ['set()']


@pytest.mark.parametrize('name, found, message', [
    ('mmpose', '0.29.0', r'needs mmpose>=1.3.0,<1.4, but mmpose 0.29.0 was found: pip install "mmpose>=1.3.0,<1.4"'),
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


def runner_checkpoint(path):
    history = HistoryBuffer([1., np.float32(2.)], [1, 1])
    torch.save(dict(message_hub=dict(loss=history, best=np.float64(3.)), state_dict=dict(w=torch.arange(3.))), path)


def check_runner_checkpoint(loaded: dict) -> None:
    assert loaded['message_hub']['loss'].current() == 2 and loaded['message_hub']['best'] == 3
    assert loaded['state_dict']['w'].tolist() == [0, 1, 2]


def test_torch_loads_objects_as_before(tmp_path):
    torch.save(dict(kept=pytest.approx(1.)), tmp_path / 'objects.pth')
    assert torch.load(tmp_path / 'objects.pth', weights_only=False)['kept'] == 1


def test_runner_checkpoints_load_here_and_nowhere_else(tmp_path):
    """torch.load itself refuses the message hub before and after: the allow-list is extended for one call only."""
    path = tmp_path / 'runner.pth'
    runner_checkpoint(path)
    for _ in range(2):
        with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer'):
            torch.load(path, weights_only=True)
        check_runner_checkpoint(compat.load_safely(str(path)))
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return  # below torch 2.4 there is no list
    torch.serialization.add_safe_globals([HistoryBuffer])
    try:
        compat.load_safely(str(path))
        assert HistoryBuffer in torch.serialization.get_safe_globals()  # what others allowed stays
    finally:
        kept = [entry for entry in torch.serialization.get_safe_globals() if entry is not HistoryBuffer]
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(kept)


def test_threads_load_at_the_same_time(tmp_path):
    """One that finishes must not take the allow-list from the others."""
    runner_checkpoint(tmp_path / 'runner.pth')
    with ThreadPoolExecutor(4) as pool:
        for loaded in pool.map(compat.load_safely, [str(tmp_path / 'runner.pth')] * 60):
            check_runner_checkpoint(loaded)


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_code_in_a_file_does_not_run(tmp_path, zipped):
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        compat.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.load(tmp_path / 'planted.pth', weights_only=False)  # it would have run
    assert folder.exists()


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_the_unpickler_for_torch_without_an_allow_list(tmp_path, monkeypatch, zipped):
    """Below 2.4: Runner checkpoints load, code does not run."""
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(compat.load_safely(str(tmp_path / 'runner.pth')))
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir is not on the allow-list'):
        compat.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.save(dict(meta=Fetch('x', 'zlib_codec', of=_codecs.encode)), tmp_path / 'codec.pth')
    with pytest.raises(pickle.UnpicklingError, match='_codecs.encode with .zlib_codec. is not on the allow-list'):
        compat.load_safely(str(tmp_path / 'codec.pth'))


def test_the_unpickler_reads_checkpoints_with_the_list_of_torch_2_1(tmp_path, monkeypatch):
    """That list lacks functions that numpy's scalars and schedules by steps need."""
    module = torch._weights_only_unpickler
    listed = {name: one for name, one in module._get_allowed_globals().items()
              if name not in ('_codecs.encode', 'collections.Counter')}
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    monkeypatch.setattr(module, '_get_allowed_globals', lambda: listed)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(compat.load_safely(str(tmp_path / 'runner.pth')))
    torch.save(dict(milestones=Counter([2, 4])), tmp_path / 'steps.pth')
    assert compat.load_safely(str(tmp_path / 'steps.pth'))['milestones'] == Counter([2, 4])


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (dict, 'pop')])
def test_getattr_gives_methods_of_history_buffers_only(tmp_path, owner, name):
    """A pickled history buffer asks for getattr, by which a file could otherwise reach any object."""
    torch.save(dict(meta=Fetch(owner, name)), tmp_path / 'fetch.pth')
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL'):
        compat.load_safely(str(tmp_path / 'fetch.pth'))


@pytest.mark.parametrize('has_allow_list', (True, False))
def test_empty_arrays_load_and_do_not_allow_other_bytes(tmp_path, monkeypatch, has_allow_list):
    """The metainfo of a dataset without skeleton has empty arrays, whose content pickle writes as bytes()."""
    if not has_allow_list:
        monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    torch.save(dict(colors=np.zeros((0, 3), np.uint8)), tmp_path / 'empty.pth')
    assert compat.load_safely(str(tmp_path / 'empty.pth'))['colors'].shape == (0, 3)
    torch.save(dict(meta=Fetch(10**15, of=bytes)), tmp_path / 'large.pth')
    with pytest.raises(pickle.UnpicklingError, match='bytes with arguments'):
        compat.load_safely(str(tmp_path / 'large.pth'))


class Fetch:

    def __init__(self, *arguments, of=getattr) -> None:
        self.arguments, self.of = arguments, of

    def __reduce__(self):
        return self.of, self.arguments


@pytest.mark.parametrize('version, aliases', [('2.5.1', False), ('2.6.0', True)])
def test_names_in_the_file_only_where_torch_takes_them(monkeypatch, version, aliases):
    """Below 2.6 the allow-list asks each entry for its __name__, which a pair does not have."""
    monkeypatch.setattr(torch, '__version__', version)
    given = compat.runner_globals()
    assert HistoryBuffer in [entry[0] if aliases else entry for entry in given]
    assert all(isinstance(entry, tuple) == aliases for entry in given)


def test_torchs_compiler_is_imported_on_demand():
    """Its import takes as long as torch's. torchvision needs it for one function, which still works."""
    if not hasattr(import_module('torchvision.ops.roi_align'), 'is_compile_supported'):
        pytest.skip('this torchvision does not ask the compiler')
    code = ('import sys\nimport mmpose_mspn, torchvision\nassert "torch._dynamo" not in sys.modules\n'
            'from torchvision.ops.roi_align import is_compile_supported\n'
            'print(is_compile_supported("cpu"), "torch._dynamo" in sys.modules)\n'
            'import torch._dynamo.utils\nprint(is_compile_supported("cpu") == '
            'torch._dynamo.utils.is_compile_supported("cpu"), torch._dynamo.utils.__file__[-8:])\n')
    assert run(code).split() == ['True', 'True', 'True', 'utils.py']


def test_a_config_outside_of_the_repository_has_a_base_of_the_package(tmp_path):
    name = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
    (tmp_path / 'own.py').write_text(f"_base_ = 'mmpose_mspn::{name}'\nmax_iters = 3\n")
    own = Config.fromfile(tmp_path / 'own.py')
    base = Config.fromfile(Path(__file__).parents[1] / 'configs' / name)
    assert own.max_iters == 3 and base.max_iters == 1000
    weights = [MODELS.build(config.model).state_dict() for config in (own, base)]
    assert compare_state_dicts(*weights) == Mismatches([], [], [])
