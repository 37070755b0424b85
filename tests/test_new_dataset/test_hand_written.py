"""The written config trains as one that an experienced user wrote by hand: the same draws, weights and AP, bit for bit.

The robots are the drawn people cut to eight keypoints, under category id 7, without areas.
"""
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, METRICS
from mmpose.structures import PoseDataSample

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.new_dataset import Options, create
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.synthetic_people.robots import EIGHT, write_robots

BY_HAND = Path(__file__).parent / 'robot_by_hand.py'
SHORT = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3, 'train_dataloader.batch_size': 4,
         'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
         'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False,
         'default_hooks.checkpoint.save_best': None, 'default_hooks.checkpoint.rule': None}


@pytest.fixture(scope='module')
def configs(tmp_path_factory) -> Tuple[Config, Config]:
    """The written config and that by hand, on the same files."""
    folder = tmp_path_factory.mktemp('robots')
    generate(folder, train=6, val=3, workers=1, progress=False)
    for split in ('train', 'val'):
        write_robots(folder / f'annotations/person_keypoints_{split}2017.json', folder / f'robots_{split}.json', EIGHT)
    written = create(Options(folder / 'robots_train.json', folder / 'train2017', folder / 'made', network='small',
                             val=folder / 'robots_val.json', val_images=folder / 'val2017'))
    return load_config(str(written.config)), load_config(str(BY_HAND), data_root=str(folder))


def test_the_schedules_are_the_same(configs):
    written, by_hand = configs
    for key in ('train_cfg', 'param_scheduler'):
        assert written[key] == by_hand[key], key
    # The written config states a factor of the backbone's rate, which is 1.
    assert written.optim_wrapper.paramwise_cfg.custom_keys == dict(backbone=dict(lr_mult=1))
    assert written.optim_wrapper.optimizer == by_hand.optim_wrapper.optimizer


def test_the_keypoint_sets_are_the_same(configs):
    written, by_hand = (parse_pose_metainfo(cfg.train_dataloader.dataset.metainfo) for cfg in configs)
    assert written['sigmas'].tolist() == by_hand['sigmas'].tolist()
    for key in ('keypoint_id2name', 'flip_indices', 'upper_body_ids', 'lower_body_ids'):
        assert written[key] == by_hand[key], key
    assert sorted(written['skeleton_links']) == sorted(by_hand['skeleton_links'])


@pytest.mark.parametrize('split', ['train', 'val'])
def test_the_draws_are_the_same(split, configs):
    written, by_hand = (DATASETS.build(cfg[f'{split}_dataloader'].dataset) for cfg in configs)
    assert len(written) == len(by_hand) > 3
    for index in range(len(written)):
        drawn = []
        for dataset in (written, by_hand):
            np.random.seed(index)
            drawn.append(dataset[index])
        one, two = drawn
        assert torch.equal(one['inputs'], two['inputs'])
        if split == 'train':
            labels = one['data_samples'].gt_instance_labels, two['data_samples'].gt_instance_labels
            for key in ('keypoint_labels', 'keypoints_visible'):
                assert torch.equal(getattr(labels[0], key), getattr(labels[1], key)), key


def trained(cfg: Config, work_dir: Path) -> Dict[str, torch.Tensor]:
    """Weights after three iterations."""
    cfg = Config(cfg.to_dict())
    cfg.merge_from_dict({**SHORT, 'work_dir': str(work_dir), 'randomness': dict(seed=5)})
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model.state_dict()


def test_the_same_seed_gives_the_same_weights(configs, tmp_path):
    written, by_hand = (trained(cfg, tmp_path / name) for cfg, name in zip(configs, ('written', 'by_hand')))
    assert written.keys() == by_hand.keys()
    assert [key for key in written if not torch.equal(written[key], by_hand[key])] == []


def ap(cfg: Config, metric: dict) -> float:
    """The AP of the annotated keypoints, moved by 4 px at most."""
    dataset, metric = DATASETS.build(cfg.val_dataloader.dataset), METRICS.build(metric)
    metric.dataset_meta = dataset.metainfo
    draw = np.random.default_rng(0)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        moved = info['keypoints'] + draw.uniform(-4, 4, info['keypoints'].shape)
        found = PoseDataSample(metainfo=dataset[index]['data_samples'].metainfo)
        found.gt_instances = dataset[index]['data_samples'].gt_instances
        found.pred_instances = InstanceData(
            keypoints=moved, keypoint_scores=np.ones(moved.shape[:2]), bboxes=info['bbox'],
            bbox_scores=info['bbox_score'])
        metric.process([], [found.to_dict()])
    return metric.evaluate(len(dataset))['coco/AP']


def test_the_same_predictions_have_the_same_ap(configs):
    """The areas that the one fills in are those that COCO's evaluation takes without areas."""
    written, by_hand = configs
    found = ap(written, written.val_evaluator[0])
    assert 0.1 < found < 0.9
    assert found == pytest.approx(ap(by_hand, by_hand.val_evaluator), abs=1e-12)
