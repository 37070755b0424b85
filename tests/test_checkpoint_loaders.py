"""Every way by which mmengine reads a checkpoint: files load, code in them does not run."""
import http.server
import json
import os
import pickle
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Iterator, List

import mmengine.fileio.io
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner.checkpoint import get_mmcls_models, get_torchvision_models
from mmpose.apis import init_model
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn import checkpoint_loaders
from mmpose_mspn.checkpoints import CheckpointError
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


def test_no_loader_of_mmengine_is_left():
    assert {loader.__module__ for loader in CheckpointLoader._schemes.values()} == {checkpoint_loaders.__name__}


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
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))


def test_a_file_is_downloaded_once(tmp_path, server):
    torch.save(dict(w=torch.zeros(1)), tmp_path / 'good.pth')
    for _ in range(2):
        CheckpointLoader.load_checkpoint(f'{server.url}/good.pth?version=1')
    assert len(server.requested) == 1
    assert (tmp_path / 'torch/hub/checkpoints/good.pth').read_bytes() == (tmp_path / 'good.pth').read_bytes()


def test_two_processes_download_once(tmp_path, server):
    torch.save(dict(w=torch.arange(3.)), tmp_path / 'good.pth')
    code = ('import sys, torch, mmpose_mspn.engine\nfrom mmengine.runner import CheckpointLoader\n'
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
    with pytest.raises(KeyError, match=f'{scheme}://resnet1 is none of the .* models that mmengine knows'):
        CheckpointLoader.load_checkpoint(f'{scheme}://resnet1')


def test_mmcls_gives_the_backbone():
    name, url = next(iter(get_mmcls_models().items()))
    weights = {'backbone.conv1.weight': torch.ones(1), 'head.fc.weight': torch.zeros(1)}
    torch.save(dict(state_dict=weights), kept_download(url))
    loaded = CheckpointLoader.load_checkpoint(f'mmcls://{name}')
    assert loaded == dict(state_dict={'conv1.weight': torch.ones(1)})
    folder = plant(kept_download(url), {})
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        CheckpointLoader.load_checkpoint(f'mmcls://{name}')
    assert not folder.exists()


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


def test_ceph(tmp_path, monkeypatch):
    """A local backend in the place of petrel's, whose client needs a cluster."""
    class FakePetrel(LocalBackend):

        def get(self, filepath: str) -> bytes:
            return (tmp_path / Path(filepath).name).read_bytes()

    monkeypatch.setitem(mmengine.fileio.io.backends, 'petrel', FakePetrel)
    torch.save(dict(w=torch.ones(2)), tmp_path / 'good.pth')
    folder = plant(tmp_path / 'planted.pth', {})
    for bucket in ('s3://bucket', 'cluster:s3://bucket', 'petrel://bucket', 'cluster:petrel://bucket'):
        assert CheckpointLoader.load_checkpoint(f'{bucket}/good.pth')['w'].tolist() == [1, 1]
        with pytest.raises(pickle.UnpicklingError, match='mkdir'):
            CheckpointLoader.load_checkpoint(f'{bucket}/planted.pth')
    assert not folder.exists()


def test_pavi(tmp_path, monkeypatch):
    """A stand-in for pavi's package, which is not public."""
    class Model:

        def __init__(self, name: str) -> None:
            self.name = name

        def download(self, path: str) -> None:
            Path(path).write_bytes((tmp_path / self.name).read_bytes())

    with pytest.raises(ImportError, match='pavi://good.pth needs the package pavi'):
        CheckpointLoader.load_checkpoint('pavi://good.pth')
    monkeypatch.setitem(sys.modules, 'pavi', SimpleNamespace(modelcloud=SimpleNamespace(get=Model)))
    torch.save(dict(w=torch.ones(2)), tmp_path / 'good.pth')
    folder = plant(tmp_path / 'planted.pth', {})
    assert CheckpointLoader.load_checkpoint('pavi://good.pth')['w'].tolist() == [1, 1]
    with pytest.raises(pickle.UnpicklingError, match='mkdir'):
        CheckpointLoader.load_checkpoint('pavi://planted.pth')
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
