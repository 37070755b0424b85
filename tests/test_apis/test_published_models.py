"""Published weights by name, in Python and in the tools: files of random weights under the published names and keys."""
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Dict

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmpose.apis import MMPoseInferencer
from mmpose.registry import MODELS
from torch import nn

import mmpose_mspn
from mmpose_mspn.apis import export as apis_export
from mmpose_mspn.checkpoints import convert
from mmpose_mspn.checkpoints.published import published_models
from mmpose_mspn.synthetic_people import generate
from tests.launching import python
from tests.places import ROOT, TOPDOWN
from tests.weight_server import running_server, use_empty_homes

COCO = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap/coco'
RSN18 = TOPDOWN / 'coco/td-hm_rsn18-mspnhead_8xb32-210e_coco-256x192.py'


class Published:
    """Models of mmpose with random weights, by their short names, and their files as mmpose published them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: Dict[str, nn.Module] = {}
        self.files: Dict[str, Path] = {}
        for model in published_models():
            if model.names[1] in ('mspn50', 'rsn18'):
                self.write(model.names[1], model.file)

    def write(self, name: str, file: str) -> None:
        torch.manual_seed(0)
        cfg = Config.fromfile(str(COCO / f'td-hm_{name}_8xb32-210e_coco-256x192.py'))
        model = self.models[name] = MODELS.build(cfg.model).eval()
        model.cfg = cfg.model
        weights = model.state_dict()
        if name == 'mspn50':  # of mmpose 0.x
            weights = {re.sub('^head', 'keypoint_head', key): value for key, value in weights.items()}
        self.files[name] = self.folder / file
        torch.save(dict(state_dict=weights, meta=dict(mmpose_version='0.9.0')), self.files[name])


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> Published:
    return Published(tmp_path_factory.mktemp('published'))


@pytest.fixture(autouse=True)
def published(files, tmp_path, monkeypatch) -> Published:
    """The files lie where downloads are kept."""
    folder = use_empty_homes(tmp_path, monkeypatch)
    folder.mkdir(parents=True)
    for file in files.files.values():
        (folder / file.name).symlink_to(file)
    return files


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    """A folder with four drawn pictures of COCO."""
    folder = tmp_path_factory.mktemp('people')
    generate(folder, train=2, val=2, workers=1, image_size=(96, 80), progress=False)
    return folder


@pytest.mark.parametrize('name', ['mspn50', 'rsn18'])
def test_a_network_by_name_is_mmposes(published, name):
    """The last heatmaps of our network are those of mmpose's with the same weights."""
    network = mmpose_mspn.load(name, device='cpu', fast=False).network
    crops = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        theirs = published.models[name]
        expected = theirs.head(theirs.extract_feat(crops))[-1][-1]
        heatmaps = network.head.forward_last(network.extract_feat(crops))
    assert expected.std() > 0
    assert torch.allclose(heatmaps, expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


def test_all_names_and_the_file_give_the_same(published, people, tmp_path):
    image = cv2.imread(str(next((people / 'val2017').iterdir())))
    load = partial(mmpose_mspn.load, device='cpu', fast=False)
    expected = load(published.files['rsn18'], RSN18).predict(image)
    assert expected.names[0] == 'nose' and expected.keypoints.shape == (1, 17, 2)
    with running_server() as server:
        name = server.add(published.files['rsn18'].read_bytes())
        loaded = load(server.url(name), RSN18).predict(image)
    assert (loaded.keypoints == expected.keypoints).all()
    for checkpoint in ('rsn18', 'td-hm_rsn18_8xb32-210e_coco-256x192', RSN18.stem, 'mmpose_mspn://rsn18',
                       published.files['rsn18']):
        model = load(checkpoint)
        assert model.codec == 'CoarseToFineHeatmap'
        assert (model.predict(image).keypoints == expected.keypoints).all()


def test_the_official_file_by_hand(tmp_path):
    """Its name tells its config, wherever it lies; in torch.hub's folder it has a name."""
    cfg = Config.fromfile(str(TOPDOWN / 'coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py'))
    cfg.model.backbone.init_cfg = None
    weights = convert(MODELS.build(cfg.model).state_dict(), 'official')
    file = tmp_path / 'torch/hub/checkpoints/mspn_2xstg_coco.pth'
    torch.save(dict(model=weights), file)
    model = mmpose_mspn.load(file, device='cpu', fast=False)
    assert (model.input_size, len(model.names)) == ((192, 256), 17)
    assert any('WidenBBox' in str(step) for step in model.config.test_dataloader.dataset.pipeline)  # the official crop
    by_name = mmpose_mspn.load('td-hm_2xmspn50_8xb32-96k_coco-256x192', device='cpu', fast=False)
    assert by_name.config.filename == model.config.filename


# ---------------------------------------------------------------- mmengine and mmpose


def test_load_from_in_a_config(published):
    """A stock runner reads it, for mmpose's own model too."""
    expected = published.models['rsn18'].state_dict()['backbone.top.top.0.conv.weight']
    for model in (MODELS.build(Config.fromfile(str(RSN18)).model), MODELS.build(published.models['rsn18'].cfg)):
        load_checkpoint(model, 'mmpose_mspn://rsn18')
        assert (model.state_dict()['backbone.top.top.0.conv.weight'] == expected).all()
    with pytest.raises(FileNotFoundError, match="mmpose_mspn://rsn19 does not exist.*did you mean 'rsn18'"):
        CheckpointLoader.load_checkpoint('mmpose_mspn://rsn19')


@pytest.mark.parametrize('first', ['import mmpose_mspn.models', 'import mmengine.runner, mmpose_mspn'])
def test_the_scheme_is_there_in_programs_that_import_models_or_loaders(first):
    code = (f'{first}\nfrom mmengine.runner import CheckpointLoader\n'
            'assert "mmpose_mspn://" in CheckpointLoader._schemes')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', ['rsn18', RSN18.stem])
def test_mmposes_inferencer_finds_them(name, people):
    """In this package's scope, by the names of the metafiles, from the address that they hold."""
    inferencer = MMPoseInferencer(name, scope='mmpose_mspn', device='cpu', det_model='whole_image')
    init_default_scope('mmpose')
    image = cv2.imread(str(next((people / 'val2017').iterdir())))
    (instance, ), = next(inferencer(image))['predictions']
    expected = mmpose_mspn.load('rsn18', device='cpu', fast=False).predict(image)
    assert np.array(instance['keypoints']) == pytest.approx(expected.keypoints[0], abs=1e-3)


# ---------------------------------------------------------------- tools, as processes


def run(tool: str, *arguments: object, cwd: Path = ROOT) -> str:
    done = python(ROOT / f'tools/{tool}.py', *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_infer(published, people, tmp_path):
    out = tmp_path / 'out'
    run('infer', people / 'val2017', '--model', 'rsn18', '--out', out, '--device', 'cpu')
    images = json.loads((out / 'predictions.json').read_text())['images']
    model = mmpose_mspn.load('rsn18', device='cpu', fast=False)
    for image in images:
        result = model.predict(people / 'val2017' / image['image'])
        assert np.array(image['instances'][0]['keypoints'])[:, :2] == pytest.approx(result.keypoints[0], abs=1e-3)


def test_infer_offline_without_the_file(people, tmp_path):
    done = python(ROOT / 'tools/infer.py', people / 'val2017', '--model', '4xmspn50', '--out', tmp_path / 'out',
                  https_proxy='http://127.0.0.1:9')  # nothing listens there
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode and 'Traceback' not in done.stderr
    assert all(part in line for part in ('https://download.openmmlab.com/mmpose/top_down/mspn/', '4xmspn50_coco',
                                         str(tmp_path / 'torch/hub/checkpoints')))


def test_test(people, tmp_path):
    out = tmp_path / 'metrics.json'
    run('test', RSN18, 'rsn18', '--data-root', people, '--work-dir', tmp_path / 'work', '--out', out, '--cfg-options',
        'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
        'test_dataloader.dataset.bbox_file=None')
    assert 0 <= json.loads(out.read_text())['coco/AP'] <= 1


@pytest.mark.parametrize('arguments', [('rsn18', None), (str(RSN18), 'rsn18')], ids=['name', 'config and name'])
def test_export(published, monkeypatch, arguments):
    """The network that is exported is the published one; the export itself has tests of its own."""
    exported = []
    monkeypatch.setattr(apis_export, 'export', lambda model, path, **options: exported.append((model, options)))
    apis_export.export_checkpoint(*arguments, out='rsn18.onnx')
    (model, options), = exported
    assert Path(options['checkpoint']).name == published.files['rsn18'].name
    stem = published.models['rsn18'].state_dict()['backbone.top.top.0.conv.weight']
    assert (model.state_dict()['backbone.top.top.0.conv.weight'] == stem).all()


def test_new_dataset(people, tmp_path, published):
    run('new_dataset', people / 'annotations/person_keypoints_train2017.json', people / 'train2017', '--out',
        tmp_path / 'new', '--init-from', 'mspn50')
    cfg = Config.fromfile(str(tmp_path / 'new/config.py'))
    assert Path(cfg.load_from).name == published.files['mspn50'].name
