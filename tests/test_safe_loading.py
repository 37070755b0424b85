"""Checkpoints are read without running code from them."""
import _codecs
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmpose_mspn import safe_loading
from tests.planted import plant


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
        check_runner_checkpoint(safe_loading.load_safely(str(path)))
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return  # below torch 2.4 there is no list
    torch.serialization.add_safe_globals([HistoryBuffer])
    try:
        safe_loading.load_safely(str(path))
        assert HistoryBuffer in torch.serialization.get_safe_globals()  # what others allowed stays
    finally:
        kept = [entry for entry in torch.serialization.get_safe_globals() if entry is not HistoryBuffer]
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(kept)


def test_threads_load_at_the_same_time(tmp_path):
    """One that finishes must not take the allow-list from the others."""
    runner_checkpoint(tmp_path / 'runner.pth')
    with ThreadPoolExecutor(4) as pool:
        for loaded in pool.map(safe_loading.load_safely, [str(tmp_path / 'runner.pth')] * 60):
            check_runner_checkpoint(loaded)


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_code_in_a_file_does_not_run(tmp_path, zipped):
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        safe_loading.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.load(tmp_path / 'planted.pth', weights_only=False)  # it would have run
    assert folder.exists()


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_the_unpickler_for_torch_without_an_allow_list(tmp_path, monkeypatch, zipped):
    """Below 2.4: Runner checkpoints load, code does not run."""
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(safe_loading.load_safely(str(tmp_path / 'runner.pth')))
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir is not on the allow-list'):
        safe_loading.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.save(dict(meta=Fetch('x', 'zlib_codec', of=_codecs.encode)), tmp_path / 'codec.pth')
    with pytest.raises(pickle.UnpicklingError, match='_codecs.encode with .zlib_codec. is not on the allow-list'):
        safe_loading.load_safely(str(tmp_path / 'codec.pth'))


def test_the_unpickler_reads_checkpoints_with_the_list_of_torch_2_1(tmp_path, monkeypatch):
    """That list lacks functions that numpy's scalars and schedules by steps need."""
    module = torch._weights_only_unpickler
    listed = {name: one for name, one in module._get_allowed_globals().items()
              if name not in ('_codecs.encode', 'collections.Counter', 'builtins.set', 'builtins.complex')}
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    monkeypatch.setattr(module, '_get_allowed_globals', lambda: listed)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(safe_loading.load_safely(str(tmp_path / 'runner.pth')))
    others = dict(milestones=Counter([2, 4]), joints={1, 2}, number=1j)
    torch.save(others, tmp_path / 'others.pth')
    assert safe_loading.load_safely(str(tmp_path / 'others.pth')) == others


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (dict, 'pop')])
def test_getattr_gives_methods_of_history_buffers_only(tmp_path, owner, name):
    """A pickled history buffer asks for getattr, by which a file could otherwise reach any object."""
    torch.save(dict(meta=Fetch(owner, name)), tmp_path / 'fetch.pth')
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL'):
        safe_loading.load_safely(str(tmp_path / 'fetch.pth'))


@pytest.mark.parametrize('has_allow_list', (True, False))
def test_empty_arrays_load_and_do_not_allow_other_bytes(tmp_path, monkeypatch, has_allow_list):
    """The metainfo of a dataset without skeleton has empty arrays, whose content pickle writes as bytes()."""
    if not has_allow_list:
        monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    torch.save(dict(colors=np.zeros((0, 3), np.uint8)), tmp_path / 'empty.pth')
    assert safe_loading.load_safely(str(tmp_path / 'empty.pth'))['colors'].shape == (0, 3)
    torch.save(dict(meta=Fetch(10**15, of=bytes)), tmp_path / 'large.pth')
    with pytest.raises(pickle.UnpicklingError, match='bytes with arguments'):
        safe_loading.load_safely(str(tmp_path / 'large.pth'))


class Fetch:

    def __init__(self, *arguments, of=getattr) -> None:
        self.arguments, self.of = arguments, of

    def __reduce__(self):
        return self.of, self.arguments


@pytest.mark.parametrize('version, aliases', [('2.5.1', False), ('2.6.0', True)])
def test_names_in_the_file_only_where_torch_takes_them(monkeypatch, version, aliases):
    """Below 2.6 the allow-list asks each entry for its __name__, which a pair does not have."""
    monkeypatch.setattr(torch, '__version__', version)
    given = safe_loading.runner_globals()
    assert HistoryBuffer in [entry[0] if aliases else entry for entry in given]
    assert all(isinstance(entry, tuple) == aliases for entry in given)
