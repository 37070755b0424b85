"""The config that a checkpoint carries: read as plain data, and never a way to run code."""
import os
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version

import mmpose_mspn
from mmpose_mspn.checkpoints import CheckpointError, convert_file, read_checkpoint
from mmpose_mspn.checkpoints.embedded_config import PARTS, embedded_config, parse_plain
from mmpose_mspn.checkpoints.publish import publish
from tests.model_files import save_random, write_config
from tests.places import ROOT

MODEL = "model = dict(type='mmpose_mspn.TopdownPoseEstimator', {})\n"
PIPELINE = "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage'){}]))\n"


def carried(text: str) -> dict:
    return embedded_config(dict(meta=dict(cfg=text)), 'model.pth')


@pytest.mark.parametrize('name', sorted(
    path.stem for path in ROOT.glob('configs/*/topdown_heatmap/*/*.py') if path.stem.startswith(
        ('td-hm_2xmspn18', 'td-hm_4xmspn50_8xb32-29k', 'td-hm_lightpose', 'td-hm_rsn', 'td-hm_cpn50_1xb'))))
def test_the_configs_of_the_package_are_carried_whole(name):
    """The model and the pipeline that are built from the text are those of the file."""
    path, = ROOT.glob(f'configs/*/topdown_heatmap/*/{name}.py')
    cfg = Config.fromfile(path)
    found = Config(carried(cfg.pretty_text))
    cfg.model.backbone.pop('init_cfg', None)
    cfg.model.head.pop('init_cfg', None)
    (cfg.model.backbone.get('encoder') or {}).pop('init_cfg', None)
    assert found.model == cfg.model
    assert list(found.test_dataloader.dataset.pipeline) == list(cfg.test_dataloader.dataset.pipeline)


def test_plain_data():
    text = ("a = dict({'x-y': (1, -2.5)}, b=[None, True, 'text'], c=dict())\n"
            'import os\nother = os.getcwd()\nd = {1: (2, )}\n')
    assert parse_plain(text, ('a', 'd')) == dict(a={'x-y': (1, -2.5), 'b': [None, True, 'text'], 'c': {}}, d={1: (2, )})


@pytest.mark.parametrize('value', [
    "__import__('os').mkdir('{}')", "eval(\"__import__('os').mkdir('{}')\")", "(lambda: 0)()", '[x for x in (1, )]',
    "f'{{1}}'", "dict(**{{'a': 1}})", "dict([('a', 1)])", '1 + 1', 'name', 'dict.fromkeys([1])', "{{**{{}}}}", '-"1"'])
def test_what_is_not_plain_is_refused(tmp_path, value):
    text = MODEL.format(f'a={value.format(tmp_path / "ran")}') + PIPELINE.format('')
    with pytest.raises(CheckpointError, match='config in model.pth is not used, because building it could run code'):
        carried(text)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('model, pipeline, message', [
    ("backbone=dict(type='os.mkdir', path='{}')", '', "no class of that name is registered: 'os.mkdir'"),
    ("backbone=dict(type='os.system', command='mkdir {}')", '', 'no class of that name is registered'),
    ("backbone=dict(type='mmengine.load', file='{}')", '', 'no class of that name is registered'),
    ("backbone=dict(type='mmpose_mspn.checkpoints.read_checkpoint', path='{}')", '', 'no class of that name'),
    ("backbone=dict(type=['os.mkdir'], path='{}')", '', 'no class of that name is registered'),
    ("backbone=dict(type='ResNet', depth=18, _scope_='antigravity')", '', "_scope_ is 'antigravity'"),
    ("metainfo=dict(from_file='{}')", '', "from_file names a file"),
    ("teacher='{}.py'", '', 'teacher names a file'),
    ('', ", dict(type='os.mkdir', path='{}')", "the step 'os.mkdir'"),
    ('', ", dict(type='Albumentation', transforms=[])", "the step 'Albumentation'"),
    ('', ", dict(type='TopdownAffine', input_size=dict(type='os.mkdir', path='{}'))", 'no class of that name'),
])
def test_types_that_would_run_code_are_refused(tmp_path, model, pipeline, message):
    """mmengine imports and calls what a type names, also outside of its registries."""
    ran = tmp_path / 'ran'
    text = MODEL.format(model.replace('{}', str(ran))) + PIPELINE.format(pipeline.replace('{}', str(ran)))
    with pytest.raises(CheckpointError, match=message):
        carried(text)
    assert not ran.exists()


def test_mmengine_would_have_run_them(tmp_path):
    """The danger is real: the same text creates a folder when mmengine reads it."""
    Config.fromstring(f"made = __import__('os').mkdir('{tmp_path / 'read'}')\n", '.py')
    assert os.listdir(tmp_path) == ['read']


@pytest.mark.skipif(digit_version(mmengine.__version__) < digit_version('0.8.0'),
                    reason='mmengine below 0.8.0 imports no classes that are not registered')
def test_mmengine_would_have_built_them(tmp_path):
    """And when it builds its backbone."""
    from mmpose.registry import MODELS
    MODELS.build(dict(type='os.mkdir', path=str(tmp_path / 'built')))
    assert os.listdir(tmp_path) == ['built']


@pytest.mark.parametrize('text', [
    'model = (' * 100, '(' * 5000, 'model = ' + '-' * 100000 + '1', 'a\0b', 'model = dict(',
    '[' * 59 + ']' * 59 + '\n' + 'x' * (1 << 21)])
def test_texts_that_would_break_the_parser(text):
    with pytest.raises(CheckpointError, match='is not used'):
        carried(text)


@pytest.mark.parametrize('old, new, message', [
    ('mmpose_mspn.TopdownPoseEstimator', 'mmpose_mspn.PoseLifter', "its model is a 'mmpose_mspn.PoseLifter'"),
    ('mmpose_mspn.TopdownPoseEstimator', 'DWPoseDistiller', "its model is a 'DWPoseDistiller'"),
    ('model = ', "default_scope = 'antigravity'\nmodel = ", "default_scope is 'antigravity'")])
def test_other_models_are_refused(old, new, message):
    text = MODEL.format('') + PIPELINE.format('')
    assert 'model' in carried(text) and old in text
    with pytest.raises(CheckpointError, match=message):
        carried(text.replace(old, new))


@pytest.mark.parametrize('content', [{}, dict(meta=None), dict(meta=[])])
def test_no_meta(content):
    assert embedded_config(content, 'model.pth') is None


@pytest.mark.parametrize('text', ['', 7, 'model = dict()', PIPELINE.format('')])
def test_no_config(text):
    assert carried(text) is None


@pytest.fixture
def trained(tmp_path) -> Path:
    """A checkpoint with the config's text, as a training writes it, and its config."""
    config = write_config(tmp_path / 'config.py')
    save_random(config, tmp_path / 'iter_1.pth', cfg=Config.fromfile(config).pretty_text, iter=1, seed=0)
    return tmp_path / 'iter_1.pth'


def test_published_and_converted_files_load_alone(tmp_path, trained):
    bare = tmp_path / 'bare.pth'
    save_random(tmp_path / 'config.py', bare)
    files = [publish(trained, str(tmp_path / 'published')),
             publish(bare, str(tmp_path / 'with-config'), config=tmp_path / 'config.py')]
    for name, config in (('same', None), ('given', tmp_path / 'config.py')):
        files.append(tmp_path / f'{name}.pth')
        convert_file(trained if config is None else bare, files[-1], config=config)
    for path in files:
        assert mmpose_mspn.load(path, device='cpu', fast=False).input_size == (48, 64)
        assert set(embedded_config(read_checkpoint(path), path)) <= set(PARTS)


def test_a_published_file_without_config_says_so(tmp_path, trained):
    bare = tmp_path / 'bare.pth'
    save_random(tmp_path / 'config.py', bare)
    with pytest.raises(ValueError, match='carries no config'):
        mmpose_mspn.load(publish(bare, str(tmp_path / 'bare-published')), device='cpu')
    # In mmpose's layout, the text of this package's config would be that of another model.
    convert_file(trained, tmp_path / 'theirs.pth', to='mmpose')
    assert 'cfg' not in torch.load(tmp_path / 'theirs.pth', weights_only=True)['meta']
