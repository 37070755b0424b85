"""Loading of configs for the tools."""
from typing import Optional

import pytest

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.utils.errors import ConfigError
from tests.places import DEMO, ROOT

CONFIG = str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py')


@pytest.mark.parametrize('how', [dict(data_root='/real/coco'), dict(cfg_options=dict(data_root='/real/coco'))])
def test_data_root_is_replaced_in_every_dataset(how):
    cfg = load_config(CONFIG, **how)
    roots = {cfg.data_root, *(cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'val', 'test'))}
    assert roots == {'/real/coco/'}


def test_other_options_are_merged():
    cfg = load_config(CONFIG, {'train_dataloader.batch_size': 3, 'model.head.ohkm_topk': None})
    assert (cfg.train_dataloader.batch_size, cfg.model.head.ohkm_topk) == (3, None)


@pytest.mark.parametrize('option, instead', [
    ({'max_iters': 5}, 'set train_cfg.max_iters, or write a config with another max_iters'),
    ({'codec.kernel_sizes': [5]}, 'set what it is used for, or write a config with another codec'),
])
def test_variables_of_the_file_are_refused_because_nothing_would_change(option, instead):
    key, = option
    with pytest.raises(ValueError, match=f'--cfg-options {key}: .* is a variable of the config file.*: {instead}'):
        load_config(CONFIG, option)


def test_missing_configs_and_roots_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='config nowhere.py does not exist'):
        load_config('nowhere.py')
    (tmp_path / 'bare.py').write_text('model = None')
    with pytest.raises(ValueError, match='has no data_root to replace by elsewhere'):
        load_config(str(tmp_path / 'bare.py'), data_root='elsewhere')


def replaced(tmp_path, text: str, new: str = '/new') -> dict:
    path = tmp_path / 'config.py'
    path.write_text(text)
    return load_config(str(path), data_root=new)


def test_a_root_is_compared_by_the_parts_of_the_path(tmp_path):
    cfg = replaced(tmp_path, '''
data_root = 'data/co'
train_dataloader = dict(dataset=dict(data_root='data/co', bbox_file='data/coco2/boxes.json'))
val_evaluator = dict(ann_file='./data/co/val.json', classwise='data/co')
''')
    assert cfg.train_dataloader.dataset == dict(data_root='/new/', bbox_file='data/coco2/boxes.json')
    assert cfg.val_evaluator == dict(ann_file='/new/val.json', classwise='data/co')


def test_an_empty_root_replaces_only_paths_of_data(tmp_path):
    cfg = replaced(tmp_path, '''
data_root = ''
default_scope = 'mmpose'
model = dict(type='X', init_cfg=dict(type='Pretrained', checkpoint='weights.pth'))
train_dataloader = dict(dataset=dict(type='Y', data_root='', ann_file='train.json', data_prefix=dict(img='train')))
val_dataloader = dict(dataset=dict(type='Y', ann_file='val.json'))
val_evaluator = dict(type='CocoMetric', ann_file='val.json')
''')
    assert (cfg.data_root, cfg.default_scope, cfg.model.type) == ('/new/', 'mmpose', 'X')
    assert cfg.model.init_cfg == dict(type='Pretrained', checkpoint='weights.pth')
    assert cfg.train_dataloader.dataset == dict(
        type='Y', data_root='/new/', ann_file='train.json', data_prefix=dict(img='train'))
    assert cfg.val_dataloader.dataset == dict(type='Y', ann_file='/new/val.json')
    assert cfg.val_evaluator == dict(type='CocoMetric', ann_file='/new/val.json')


@pytest.mark.parametrize('key, near', [
    ('train_dataloader.batch_sise', "'batch_size'"), ('model.backbon.num_stages', "'backbone'"),
    ('model.backbone.num_stage', "'num_stages'"), ('optim_wrapper.optimizer.lrr', "'lr'"),
    ('train_cfg.max_iter', "'max_iters'"), ('lod_from', "'load_from'"), ('randomness.sed', "'seed'"),
    ('default_hooks.checkpoint.intervall', "'interval'"), ('param_scheduler.0.star_factor', "'start_factor'"),
    ('train_dataloader.dataset.pipeline.99.prob', 'is a list of'), ('train_cfg.max_iters.x', 'has no keys')])
def test_mistyped_keys_are_refused_with_near_matches(key, near):
    with pytest.raises(ValueError, match=near):
        load_config(CONFIG, {key: 1})


@pytest.mark.parametrize('key', [
    'randomness.deterministic', 'train_dataloader.pin_memory', 'optim_wrapper.accumulative_counts', 'load_from',
    'model.test_cfg.output_heatmaps', 'default_hooks.checkpoint.save_best', 'model.backbone.with_cp',
    'optim_wrapper.optimizer.betas', 'val_evaluator.nms_thr', 'train_cfg.val_begin',
    'model.backbone.encoder.deep_stem'])
def test_known_keys_that_the_config_lacks_are_merged(key):
    cfg = load_config(CONFIG, {key: 3})
    for part in key.split('.'):
        cfg = cfg[part]
    assert cfg == 3


def test_a_new_key_is_added_on_purpose():
    assert load_config(CONFIG, {'+my_note.of': 'the day'}).my_note.of == 'the day'


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(')
    with pytest.raises(ValueError, match='config .*broken.py cannot be read'):
        load_config(str(path))
    with pytest.raises(FileNotFoundError, match="did you mean 'broken.py'"):
        load_config(str(tmp_path / 'brokn.py'))


NAME, BELOW = DEMO.stem, DEMO.parent.relative_to(ROOT / 'configs').as_posix()


@pytest.mark.parametrize('given', [NAME, f'{NAME}.py', f'mmpose_mspn::{BELOW}/{NAME}.py', f'mmpose_mspn::{NAME}'])
def test_a_config_of_the_package_is_found_from_any_folder(given, tmp_path, monkeypatch):
    expected = load_config(str(DEMO))
    monkeypatch.chdir(tmp_path)
    assert load_config(given)._cfg_dict == expected._cfg_dict


@pytest.mark.parametrize('given', [f'{NAME}r', f'mmpose_mspn::{BELOW}/{NAME}r.py', f'mmpose_mspn::{NAME}r'])
def test_a_misspelled_name_is_answered_with_the_right_one(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"config {given} does not exist: .*did you mean '{NAME}'"):
        load_config(given)


def test_a_file_goes_before_a_config_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f'{NAME}.py').write_text('mine = True')
    assert load_config(f'{NAME}.py').mine and 'mine' not in load_config(NAME)


def load_with(tmp_path, text: str, options: Optional[dict] = None):
    (tmp_path / 'own.py').write_text(f'_base_ = {CONFIG!r}\n{text}\n')
    return load_config(str(tmp_path / 'own.py'), options)


@pytest.mark.parametrize('text, wrong, right', [
    ('optim_wraper = dict(optimizer=dict(lr=1e-9))', 'optim_wraper', 'optim_wrapper'),
    ('train_dataloder = dict(batch_size=7)', 'train_dataloder', 'train_dataloader'),
    ('val_evaluators = dict(type="PCKAccuracy")', 'val_evaluators', 'val_evaluator'),
    ('param_schedular = [dict(type="LinearLR")]', 'param_schedular', 'param_scheduler'),
    ('model = dict(test_cfg=dict(flip_tset=False))', 'flip_tset', 'flip_test'),
    ('train_dataloader = dict(num_worker=1)', 'num_worker', 'num_workers'),
    ('train_cfg = dict(val_intervall=2)', 'val_intervall', 'val_interval'),
    ('env_cfg = dict(cudnn_benchmrk=True)', 'cudnn_benchmrk', 'cudnn_benchmark'),
    ('randomness = dict(sed=1)', 'sed', 'seed')])
def test_misspelled_keys_of_a_file_are_refused(tmp_path, text, wrong, right):
    with pytest.raises(ConfigError, match=rf'own.py: .*{wrong}.*did you mean .*{right}'):
        load_with(tmp_path, text)


@pytest.mark.parametrize('text', [
    'model_2 = dict(a=1)', 'train_dataloader2 = dict(a=1)', 'train_dataset = dict(a=1)', 'mode = "topdown"',
    'my_model = dict(type="x")', 'custom_hook = dict(type="EMAHook")\ncustom_hooks = [custom_hook]',
    'data_roots = ["a"]', 'optimizer = dict(lr=1)', 'train_pipelines = [1]', 'base_lr = 1e-3',
    'model = dict(test_cfg=dict(score_thr=0.1))'])
def test_variables_of_the_users_own_stay(tmp_path, text):
    load_with(tmp_path, text)


@pytest.mark.parametrize('where, text', [
    ('randomness.deterministic', 'randomness = dict(deterministic="no")'),
    ('train_dataloader.pin_memory', 'train_dataloader = dict(pin_memory="False")'),
    ('default_hooks.checkpoint.save_last', 'default_hooks = dict(checkpoint=dict(save_last="off"))')])
def test_words_in_place_of_a_truth_value_are_refused(tmp_path, where, text):
    with pytest.raises(ConfigError, match=f'{where} must be True or False'):
        load_with(tmp_path, text)
    with pytest.raises(ConfigError, match='randomness.deterministic'):
        load_with(tmp_path, '', {'randomness.deterministic': 'yes'})
