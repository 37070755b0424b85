"""What a run refuses before it starts, and what it warns of."""
import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmpose_mspn.apis import dataset_check
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.run_check import build_runner, check_output_file, check_run
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.errors import ConfigError, OutputError
from tests.building import backbone, estimator, head, samples
from tests.places import DEMO, ROOT

TOPDOWN = ROOT / 'configs/body_2d_keypoint/topdown_heatmap'
MSPN = TOPDOWN / 'coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
HRNET = TOPDOWN / 'coco/td-hm_hrnet-w32-mspncodec_8xb32-210e_coco-256x192.py'
SIMCC = ROOT / 'configs/body_2d_keypoint/simcc/coco/simcc_2xmspn50-rtmcc_8xb32-210e_coco-256x192.py'


@pytest.mark.parametrize('config', [MSPN, HRNET, SIMCC])
def test_configs_pass(config):
    check_run(load_config(str(config)), ('train', 'val', 'test'))


def test_an_ensemble_has_neither_backbone_nor_head():
    check_run(load_config(str(TOPDOWN / 'coco/td-hm_mspn-plus_coco-384x288.py')), ('test', ))


@pytest.mark.parametrize('config, options, message', [
    (MSPN, {'model.head.decoder.input_size': (288, 384), 'model.head.decoder.heatmap_size': (72, 96)},
     r'pipeline.5: TopdownAffine .*\(192, 256\), but model.head.decoder has input_size \(288, 384\)'),
    (MSPN, {'model.head.decoder.heatmap_size': (72, 96)}, r'differ: heatmap_size \(48, 64\) and \(72, 96\):'),
    (MSPN, {'model.head.decoder.kernel_sizes': (13, 11, 9, 7, 5)}, r'kernel_sizes \(15, .* and \(13,'),
    (MSPN, {'model.head.decoder.blur_kernel_size': 9}, 'blur_kernel_size 5 and 9'),
    (MSPN, {'train_dataloader.dataset.pipeline.5.input_size': (288, 384)},
     r'pipeline.5: TopdownAffine .*\(288, 384\), but model.head.decoder has input_size \(192, 256\)'),
    (MSPN, {'val_dataloader.dataset.pipeline.2.input_size': (96, 128)}, 'val_dataloader.dataset.pipeline.2: Topdown'),
    (MSPN, {'model.head.decoder.type': 'UDPHeatmap'}, 'decoder is UDPHeatmap, but mmpose_mspn.MSPNHead needs'),
    (MSPN, {'model.backbone.output': 'final'}, "set model.backbone.output='all'"),
    (SIMCC, {'model.backbone.output': 'all'}, "RTMCCHead takes one feature map.*output='final'"),
    (SIMCC, {'train_dataloader.dataset.type': 'mmpose_mspn.CocoDataset'}, 'visibility as a weight.*CocoDataset'),
    (MSPN, {'model.head.out_channels': 5}, 'has 17 keypoints .* but model.head.out_channels is 5'),
    (MSPN, {'train_dataloader.dataset.metainfo': dict(from_file='configs/_base_/datasets/mpii.py')},
     'has 16 keypoints'),
])
def test_parts_that_do_not_fit_are_refused(config, options, message):
    with pytest.raises(ConfigError, match=message):
        check_run(load_config(str(config), options), ('train', 'val', 'test'))


def test_a_missing_loader_is_named():
    cfg = load_config(str(MSPN))
    cfg.train_dataloader = None
    with pytest.raises(ConfigError, match='no train_dataloader: it is not one for training'):
        check_run(cfg, ('train', 'val'))


@pytest.mark.parametrize('name, error, message', [
    ('m.csv', OutputError, r'--out .*m\.csv must end with one of \.json'), ('folder.json', OutputError, 'is a folder'),
    ('file/m.json', OutputError, 'cannot be written to')])
def test_files_that_could_not_be_written(tmp_path, name, error, message):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'folder.json').mkdir()
    with pytest.raises(error, match=message):
        check_output_file('--out', str(tmp_path / name))


def test_a_missing_folder_is_made(tmp_path):
    check_output_file('--out', str(tmp_path / 'new' / 'm.json'))
    assert os.listdir(tmp_path / 'new') == []


def test_the_head_refuses_crops_of_another_size():
    """Also under runners that make no check before the run."""
    built = head(input_size=(96, 128))
    feats = backbone()(torch.zeros(2, 3, 64, 48))
    with pytest.raises(ValueError, match=r'input_size \(48, 64\), the head.s decoder has input_size \(96, 128\)'):
        built.loss(feats, samples())
    with pytest.raises(ValueError, match=r'input_size \(48, 64\)'):
        built.predict(feats, samples())


def test_the_head_refuses_another_number_of_keypoints():
    with pytest.raises(ValueError, match='the samples have 17 keypoints, the head has out_channels=5'):
        head(out_channels=5).loss(backbone()(torch.zeros(2, 3, 64, 48)), samples())


def test_a_plain_backbone_under_the_head_is_refused():
    model = estimator(dict(type='mmpose.ResNet', depth=18, out_indices=(0, 1)), dict(
        type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16,
        decoder=dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(48, 64), heatmap_size=(12, 16))))
    with pytest.raises(ValueError, match="take mmpose_mspn.MSPN with output='all'"):
        model(torch.zeros(2, 3, 64, 48), samples(), mode='loss')


SPLITS = ('train', 'val')


@pytest.fixture
def warned(monkeypatch):
    """What is logged."""
    said = []
    monkeypatch.setattr(dataset_check, 'print_log', lambda text, *_: said.append(text))
    return said


def test_a_validation_on_the_people_of_the_training(warned):
    cfg = load_config(str(MSPN))
    check_run(cfg, SPLITS)
    assert not warned
    cfg.val_dataloader.dataset.ann_file = './' + cfg.train_dataloader.dataset.ann_file
    check_run(cfg, SPLITS)
    assert len(warned) == 1 and 'person_keypoints_train2017.json: the validation measures people' in warned[0]
    cfg.val_dataloader.dataset.data_root = 'elsewhere'
    check_run(cfg, SPLITS)
    assert len(warned) == 1


def test_a_test_that_changes_samples_by_chance(warned):
    cfg = load_config(str(MSPN), {'test_dataloader.dataset.pipeline.1.type': 'RandomFlip'})
    check_run(cfg, ('test', ))
    assert len(warned) == 1 and 'changes samples by chance (RandomFlip)' in warned[0]


@pytest.mark.parametrize('options, message', [
    ({'model.test_cfg.flip_test': 'no'}, "model.test_cfg.flip_test must be True or False, got 'no'"),
    ({'model.data_preprocessor.std': [0, 1, 1]}, r'std \[0, 1, 1\] must be of the same number, each std > 0'),
    ({'model.data_preprocessor.mean': None}, 'mean None and std .* must be three numbers each'),
    ({'model.data_preprocessor.mean': [float('nan'), 1, 1]}, 'mean .*nan.* must be three numbers each'),
    ({'optim_wrapper.optimizer.weight_decay': float('nan')}, 'weight_decay must be a finite number >= 0, got nan'),
    ({'optim_wrapper.optimizer.lr': float('inf')}, 'lr must be a finite number >= 0, got inf'),
    ({'optim_wrapper.clip_grad': dict(max_norm=float('nan'))}, 'clip_grad.max_norm must be a finite number >= 0'),
    ({'optim_wrapper.optimizer.lr': None}, 'lr must be a finite number >= 0, got None'),
    ({'custom_hooks': [dict(type='EMAHook', momentum=-1)]}, 'custom_hooks.0.momentum must be .* 0 and 1, got -1'),
    ({'optim_wrapper.optimizer.type': 'Adamm'}, "there is no optimizer 'Adamm'; did you mean 'Adam'"),
    ({'train_cfg': [1, 2]}, r'train_cfg must be a dict, got \[1, 2\]'),
    ({'train_dataloader.dataset.type': None}, 'train_dataloader.dataset has no type'),
    ({'train_dataloader.dataset.data_prefix': dict(image='train2017/', _delete_=True)},
     'data_prefix names no folder of images'),
    ({'train_dataloader.dataset.pipeline': [dict(type='PackPoseInputs')]}, 'pipeline has no step LoadImage'),
    ({'train_dataloader.dataset.pipeline': [dict(type='LoadImage')]}, 'pipeline has no step PackPoseInputs'),
    ({'randomness': dict(seed=-1)}, 'randomness.seed must be an integer >= 0, got -1'),
])
def test_settings_that_mean_something_else(options, message):
    with pytest.raises(ConfigError, match=message):
        check_run(load_config(str(MSPN), options), ('train', 'val'))


COCO = dict(type='mmpose_mspn.CocoMetric')


def check_best(save_best: object, metrics: list) -> None:
    cfg = load_config(str(MSPN))
    cfg.default_hooks.checkpoint.save_best, cfg.val_evaluator = save_best, metrics
    check_run(cfg, SPLITS)


@pytest.mark.parametrize('save_best, metrics', [
    ('coco/AP', [COCO]), ('coco/AP (M)', [COCO]), ('auto', [COCO]), (None, [COCO]), (['coco/AP', 'coco/AR'], [COCO]),
    ('crowdpose/AP(E)', [dict(COCO, prefix='crowdpose', iou_type='keypoints_crowd')]),
    ('coco-wholebody/AP', [dict(type='CocoWholeBodyMetric')]), ('anything', [COCO, dict(type='PCKAccuracy')])])
def test_metrics_that_are_measured_pass(save_best, metrics):
    check_best(save_best, metrics)


@pytest.mark.parametrize('save_best, metrics', [
    ('coco/APP', [COCO]), ('AP', [COCO]), (['coco/AP', 'coco/APP'], [COCO]), ('coco/AP (M)', [dict(
        COCO, iou_type='keypoints_crowd')]), ('coco/AP', [dict(COCO, prefix='own')])])
def test_others_are_refused(save_best, metrics):
    with pytest.raises(ConfigError, match='save_best is .*, which val_evaluator does not measure'):
        check_best(save_best, metrics)


def test_pckh_without_head_boxes_is_refused_before_the_run():
    cfg = load_config(str(TOPDOWN / 'mpii/td-hm_2xmspn50_8xb32-29k_mpii-256x256.py'))
    check_run(cfg, ('train', 'val', 'test'))
    del cfg.test_dataloader.dataset.headbox_file
    check_run(cfg, SPLITS)
    with pytest.raises(ConfigError, match='test_dataloader.dataset.headbox_file is not set'):
        check_run(cfg, ('test', ))
    cfg.test_evaluator = dict(type='PCKAccuracy', norm_item='bbox')
    check_run(cfg, ('test', ))


def wrap(dataset: dict) -> dict:
    """The dataset as the second source of a repeated combination, whose last two steps are those of all sources."""
    inner = dict(dataset, pipeline=dataset['pipeline'][:-2])
    combined = dict(type='CombinedDataset', metainfo=dict(from_file='coco.py'), datasets=[inner, dict(inner)],
                    pipeline=dataset['pipeline'][-2:])
    return dict(type='RepeatDataset', times=2, dataset=combined)


SECOND = 'train_dataloader.dataset.dataset.datasets.1'


@pytest.mark.parametrize('change, message', [
    (dict(), None),
    (dict(type=None), f'{SECOND} has no type'),
    (dict(data_prefix=dict(image='a')), f'{SECOND}.data_prefix names no folder'),
    (dict(metainfo=dict(from_file='configs/_base_/datasets/mpii.py')), f'but {SECOND} has 16 (its metainfo)'),
])
def test_datasets_inside_of_others_are_checked(change, message):
    cfg = load_config(str(MSPN))
    dataset = wrap(cfg.train_dataloader.dataset.to_dict())
    dataset['dataset']['datasets'][1].update(change)
    cfg.train_dataloader.dataset = dataset
    with pytest.raises(ConfigError, match=re.escape(message)) if message else nullcontext():
        check_run(cfg, ('train', ))


def steps_of_training(cfg: Config) -> list:
    return [step['type'].split('.')[-1] for step in cfg.train_dataloader.dataset.pipeline]


@pytest.mark.parametrize('moved, message', [
    ('RandomFlip', 'RandomFlip comes after TopdownAffine'), ('WidenBBox', 'WidenBBox comes after TopdownAffine'),
    ('GenerateTarget', 'GenerateTarget comes before TopdownAffine')])
def test_steps_in_an_order_in_which_image_and_keypoints_do_not_fit(moved, message):
    cfg = load_config(str(MSPN))
    pipeline, names = cfg.train_dataloader.dataset.pipeline, steps_of_training(cfg)
    step = pipeline.pop(names.index(moved))
    crop = steps_of_training(cfg).index('TopdownAffine')
    pipeline.insert(crop if moved == 'GenerateTarget' else crop + 1, step)
    with pytest.raises(ConfigError, match=message):
        check_run(cfg, ('train', ))


def test_the_converted_keypoints_count():
    name = 'coco/td-hm_4xmspn50_8xb32-96k_coco-aic-384x288.py'
    cfg = load_config(str(TOPDOWN / name))
    check_run(cfg, ('train', ))
    converter, = (step for dataset in cfg.train_dataloader.dataset.datasets for step in dataset.get('pipeline', ())
                  if step['type'] == 'mmpose_mspn.KeypointConverter')
    converter.num_keypoints = 16
    with pytest.raises(ConfigError, match=r'datasets.1.pipeline.0: 16 in the pair \(8, 16\)'):
        check_run(cfg, ('train', ))


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    generate(folder, train=2, val=1, workers=1, progress=False)
    return folder


def short_training(people: Path, work_dir: Path) -> Config:
    cfg = load_config(str(DEMO), data_root=str(people))
    cfg.work_dir, cfg.launcher, cfg.randomness = str(work_dir), 'none', dict(seed=0)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg.update(max_iters=1, val_interval=2)
    cfg.model.backbone.update(unit_channels=8, encoder=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8))
    cfg.model.head.unit_channels = 8
    cfg.auto_scale_lr = dict(enable=True, base_batch_size=16)
    return cfg


def test_a_runner_with_built_parts_trains_as_one_without(people, tmp_path):
    built = build_runner(short_training(people, tmp_path / 'built'), 'train')
    lr, = {group['initial_lr'] for group in built.optim_wrapper.param_groups}
    assert lr == pytest.approx(short_training(people, tmp_path).optim_wrapper.optimizer.lr / 8)
    weights = built.train().state_dict()
    plain = Runner.from_cfg(short_training(people, tmp_path / 'plain')).train().state_dict()
    assert all(torch.equal(weights[key], value) for key, value in plain.items())


@pytest.mark.parametrize('change, message', [
    (dict(param_scheduler=[dict(type='LinearLR', start=0.1)]), "LinearLR has no argument 'start'.* start_factor"),
    (dict(custom_hooks=[dict(type='mmpose_mspn.ChannelLastHook')]), "custom_hooks.0: .*'mmpose_mspn.ChannelsLastHook'"),
    (dict(model=dict(backbone=dict(encoder=dict(depth=19)))), 'the config cannot be built: KeyError: invalid depth 19'),
    (dict(optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(backbonne=dict(lr_mult=0.))))),
     "custom_keys: 'backbonne' is part of no parameter's name; did you mean 'backbone'"),
    (dict(val_evaluator=dict(type='CocoMetrik')), "there is no class 'CocoMetrik'; did you mean 'CocoMetric'")])
def test_parts_that_cannot_be_built_are_errors_of_the_config(people, tmp_path, change, message):
    cfg = short_training(people, tmp_path)
    cfg.merge_from_dict(change)
    with pytest.raises(ConfigError, match=message):
        build_runner(cfg, 'train')
