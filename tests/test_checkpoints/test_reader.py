"""Every way by which a checkpoint is read: files load, code in them does not run."""
import _codecs
import http.server
import json
import os
import pickle
import threading
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Iterator, List

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner.checkpoint import get_torchvision_models
from mmpose.apis import init_model
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint, reader, use_safe_loading
from tests.building import backbone
from tests.launching import two_processes
from tests.places import DEMO
from tests.planted import plant


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on the loopback interface and lists the paths that were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(('127.0.0.1', 0), partial(Handler, directory=str(folder)))
        self.requested: List[str] = []
        self.url = f'http://127.0.0.1:{self.server_port}'


class Handler(http.server.SimpleHTTPRequestHandler):

    def log_message(self, *args) -> None:
        self.server.requested.append(self.path)


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch) -> None:
    """Use empty folders for the downloads of torch.hub and for mmengine's home."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'mmengine'))


@pytest.fixture(autouse=True)
def safe_loading(monkeypatch) -> None:
    """As in a tool's process."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    use_safe_loading()


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_files_and_downloads(tmp_path, server, zipped):
    """torch's default would run the code of the download, and below 2.6 that of the file."""
    weights = dict(w=torch.arange(3.))
    torch.save(dict(state_dict=weights), tmp_path / 'good.pth', _use_new_zipfile_serialization=zipped)
    folder = plant(tmp_path / 'planted.pth', weights, _use_new_zipfile_serialization=zipped)
    for place in (str(tmp_path), server.url):
        assert CheckpointLoader.load_checkpoint(f'{place}/good.pth')['state_dict']['w'].tolist() == [0, 1, 2]
        with pytest.raises(pickle.UnpicklingError, match='mkdir'):
            CheckpointLoader.load_checkpoint(f'{place}/planted.pth')
    assert not folder.exists()
    torch.load(tmp_path / 'planted.pth', weights_only=False)  # it would have run
    assert folder.exists()
    with pytest.raises(FileNotFoundError, match='checkpoint nowhere.pth does not exist'):
        CheckpointLoader.load_checkpoint('nowhere.pth')


@pytest.mark.parametrize('content', [{1: torch.zeros(1)}, dict(state_dict={1: torch.zeros(1)}),
                                     dict(meta={}, model={2.5: torch.zeros(1)})])
def test_weights_without_names_are_refused(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth holds weights whose names are not strings, such as [12]'):
        read_checkpoint(tmp_path / 'a.pth')


def test_a_file_is_downloaded_once(tmp_path, server):
    torch.save(dict(w=torch.zeros(1)), tmp_path / 'good.pth')
    for _ in range(2):
        CheckpointLoader.load_checkpoint(f'{server.url}/good.pth?version=1')
    assert len(server.requested) == 1
    assert (tmp_path / 'torch/hub/checkpoints/good.pth').read_bytes() == (tmp_path / 'good.pth').read_bytes()


def test_two_processes_download_once(tmp_path, server):
    torch.save(dict(w=torch.arange(3.)), tmp_path / 'good.pth')
    code = ('import sys, torch, mmpose_mspn.engine\nfrom mmengine.runner import CheckpointLoader\n'
            'mmpose_mspn.checkpoints.use_safe_loading()\n'
            'torch.distributed.init_process_group("gloo")\n'
            'loaded = CheckpointLoader.load_checkpoint(sys.argv[1], logger="silent")\n'
            'print("loaded", loaded["w"].tolist(), flush=True)\n'
            'mmpose_mspn.engine.end_launch()\n')
    (tmp_path / 'load.py').write_text(code)
    for done in two_processes(tmp_path / 'load.py', f'{server.url}/good.pth'):
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('loaded [0.0, 1.0, 2.0]') == 1
    assert len(server.requested) == 1


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_a_zip_archive_around_a_checkpoint(tmp_path, server, zipped):
    """torch.hub opens such downloads, which are older than torch's own zip format."""
    torch.save(dict(w=torch.arange(3.)), tmp_path / 'inner.pth', _use_new_zipfile_serialization=zipped)
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    for name in ('inner', 'planted'):
        with zipfile.ZipFile(tmp_path / f'{name}.zip', 'w') as archive:
            archive.write(tmp_path / f'{name}.pth', f'{name}.pth')
    assert CheckpointLoader.load_checkpoint(f'{server.url}/inner.zip')['w'].tolist() == [0, 1, 2]
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        CheckpointLoader.load_checkpoint(f'{server.url}/planted.zip')
    assert not folder.exists()


def kept_download(url: str) -> Path:
    """Path at which a download of ``url`` is kept, so that a file written there is not downloaded."""
    path = Path(os.environ['TORCH_HOME'], 'hub/checkpoints', Path(url).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize('scheme', ['torchvision', 'modelzoo'])
def test_torchvision(scheme):
    url = get_torchvision_models()['resnet18']
    torch.save(dict(w=torch.ones(2)), kept_download(url))
    assert CheckpointLoader.load_checkpoint(f'{scheme}://resnet18')['w'].tolist() == [1, 1]
    folder = plant(kept_download(url), {})
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        CheckpointLoader.load_checkpoint(f'{scheme}://resnet18')
    assert not folder.exists()
    with pytest.raises(CheckpointError, match=f'{scheme}://resnet1 is none of the .* models that mmengine knows'):
        CheckpointLoader.load_checkpoint(f'{scheme}://resnet1')


@pytest.mark.parametrize('scheme', ['openmmlab', 'open-mmlab'])
def test_openmmlab_by_url_and_by_file(tmp_path, server, scheme):
    home = tmp_path / 'mmengine'
    home.mkdir()
    (home / 'open_mmlab.json').write_text(json.dumps({
        'good': 'good.pth', 'planted': 'planted.pth', 'good_url': f'{server.url}/mmengine/good.pth',
        'planted_url': f'{server.url}/mmengine/planted.pth', 'detectron/resnet50_caffe': 'good.pth'}))
    torch.save(dict(w=torch.ones(2)), home / 'good.pth')
    folder = plant(home / 'planted.pth', {})
    for name in ('good', 'good_url', 'resnet50_caffe'):  # the last is an old name of detectron/resnet50_caffe
        assert CheckpointLoader.load_checkpoint(f'{scheme}://{name}')['w'].tolist() == [1, 1]
    for name in ('planted', 'planted_url'):
        with pytest.raises(pickle.UnpicklingError, match='mkdir'):
            CheckpointLoader.load_checkpoint(f'{scheme}://{name}')
    assert not folder.exists()


class Line(BaseModel):
    """A minimal model for a Runner."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict:
        return dict(loss=self.layer(inputs.float()).square().mean())


def runner(work_dir: Path, **options) -> Runner:
    return Runner(
        model=Line(), work_dir=str(work_dir), experiment_name=work_dir.name,
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(1))] * 4, batch_size=2, collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=False, max_iters=2), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)), **options)


@pytest.mark.parametrize('way', ['load_from', 'resume'])
@pytest.mark.parametrize('place', ['file', 'url'])
def test_a_runner_refuses_code_and_takes_its_own_checkpoints(tmp_path, server, way, place):
    first = runner(tmp_path / 'first')
    first.train()
    folder = plant(tmp_path / 'planted.pth', first.model.state_dict())
    start = server.url if place == 'url' else str(tmp_path)
    options = dict(resume=way == 'resume')
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        runner(tmp_path / 'second', load_from=f'{start}/planted.pth', **options).load_or_resume()
    assert not folder.exists()
    third = runner(tmp_path / 'third', load_from=f'{start}/first/iter_2.pth', **options)
    third.load_or_resume()
    assert torch.equal(third.model.layer.weight, first.model.layer.weight)
    assert third.iter == (2 if way == 'resume' else 0)


@pytest.mark.parametrize('place', ['file', 'url'])
def test_models_refuse_code(tmp_path, server, place):
    """init_model, load_checkpoint and init_cfg, of our backbone and of mmpose's."""
    folder = plant(tmp_path / 'planted.pth', {})
    path = f'{server.url if place == "url" else tmp_path}/planted.pth'
    init_cfg = dict(type='Pretrained', checkpoint=path)
    ways = [
        lambda: init_model(Config.fromfile(DEMO), path, device='cpu'),
        lambda: load_checkpoint(nn.Linear(1, 1), path),
        lambda: backbone(1, init_cfg=init_cfg).init_weights(),
        lambda: MODELS.build(dict(type='mmpose.ResNet', depth=18, init_cfg=init_cfg)).init_weights(),
        lambda: MODELS.build(dict(type='mmpose.ResNet', depth=18, init_cfg=dict(init_cfg, prefix='backbone.')
                                  )).init_weights(),
    ]
    for way in ways:
        with pytest.raises(pickle.UnpicklingError, match='mkdir'):
            way()
    assert not folder.exists()

def test_a_scheme_of_the_user_stays_the_users():
    for scheme in ('lab://', 'http://'):
        CheckpointLoader.register_scheme(scheme, lambda name, map_location=None: dict(name=name), force=True)
    use_safe_loading()
    for name in ('lab://a', 'http://a'):
        assert CheckpointLoader.load_checkpoint(name) == read_checkpoint(name) == dict(name=name)


def test_what_is_no_dict_of_weights_loads_for_mmengine_and_is_refused_by_our_reader(tmp_path):
    for content in (torch.ones(2), [torch.ones(1)], {1: torch.ones(1)}):
        torch.save(content, tmp_path / 'a.pth')
        assert type(CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))) is type(content)
        with pytest.raises(CheckpointError, match='a.pth'):
            read_checkpoint(tmp_path / 'a.pth')


# ---------------------------------------------------------------- what a file may hold


def runner_checkpoint(path):
    history = HistoryBuffer([1., np.float32(2.)], [1, 1])
    torch.save(dict(message_hub=dict(loss=history, best=np.float64(3.)), state_dict=dict(w=torch.arange(3.))), path)


def check_runner_checkpoint(loaded: dict) -> None:
    assert loaded['message_hub']['loss'].current() == 2 and loaded['message_hub']['best'] == 3
    assert loaded['state_dict']['w'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_code_in_a_file_does_not_run(tmp_path, zipped):
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        reader.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.load(tmp_path / 'planted.pth', weights_only=False)  # it would have run
    assert folder.exists()


@pytest.mark.parametrize('zipped', (True, False), ids=('zip', 'legacy'))
def test_the_unpickler_for_torch_without_an_allow_list(tmp_path, monkeypatch, zipped):
    """Below 2.4: Runner checkpoints load, code does not run."""
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(reader.load_safely(str(tmp_path / 'runner.pth')))
    folder = plant(tmp_path / 'planted.pth', {}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='mkdir is not on the allow-list'):
        reader.load_safely(str(tmp_path / 'planted.pth'))
    assert not folder.exists()
    torch.save(dict(meta=Fetch('x', 'zlib_codec', of=_codecs.encode)), tmp_path / 'codec.pth')
    with pytest.raises(pickle.UnpicklingError, match='_codecs.encode with .zlib_codec. is not on the allow-list'):
        reader.load_safely(str(tmp_path / 'codec.pth'))


def test_the_unpickler_reads_checkpoints_with_the_list_of_torch_2_1(tmp_path, monkeypatch):
    """That list lacks functions that numpy's scalars and schedules by steps need."""
    module = torch._weights_only_unpickler
    listed = {name: one for name, one in module._get_allowed_globals().items()
              if name not in ('_codecs.encode', 'collections.Counter', 'builtins.set', 'builtins.complex')}
    monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    monkeypatch.setattr(module, '_get_allowed_globals', lambda: listed)
    runner_checkpoint(tmp_path / 'runner.pth')
    check_runner_checkpoint(reader.load_safely(str(tmp_path / 'runner.pth')))
    others = dict(milestones=Counter([2, 4]), joints={1, 2}, number=1j)
    torch.save(others, tmp_path / 'others.pth')
    assert reader.load_safely(str(tmp_path / 'others.pth')) == others


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (dict, 'pop')])
def test_getattr_gives_methods_of_history_buffers_only(tmp_path, owner, name):
    """A pickled history buffer asks for getattr, by which a file could otherwise reach any object."""
    torch.save(dict(meta=Fetch(owner, name)), tmp_path / 'fetch.pth')
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL'):
        reader.load_safely(str(tmp_path / 'fetch.pth'))


@pytest.mark.parametrize('has_allow_list', (True, False))
def test_empty_arrays_load_and_do_not_allow_other_bytes(tmp_path, monkeypatch, has_allow_list):
    """The metainfo of a dataset without skeleton has empty arrays, whose content pickle writes as bytes()."""
    if not has_allow_list:
        monkeypatch.delattr(torch.serialization, 'add_safe_globals', raising=False)
    torch.save(dict(colors=np.zeros((0, 3), np.uint8)), tmp_path / 'empty.pth')
    assert reader.load_safely(str(tmp_path / 'empty.pth'))['colors'].shape == (0, 3)
    torch.save(dict(meta=Fetch(10**15, of=bytes)), tmp_path / 'large.pth')
    with pytest.raises(pickle.UnpicklingError, match='bytes with arguments'):
        reader.load_safely(str(tmp_path / 'large.pth'))


class Fetch:

    def __init__(self, *arguments, of=getattr) -> None:
        self.arguments, self.of = arguments, of

    def __reduce__(self):
        return self.of, self.arguments


@pytest.mark.parametrize('version, aliases', [('2.5.1', False), ('2.6.0', True)])
def test_names_in_the_file_only_where_torch_takes_them(monkeypatch, version, aliases):
    """Below 2.6 the allow-list asks each entry for its __name__, which a pair does not have."""
    monkeypatch.setattr(torch, '__version__', version)
    given = reader.runner_globals()
    assert HistoryBuffer in [entry[0] if aliases else entry for entry in given]
    assert all(isinstance(entry, tuple) == aliases for entry in given)
