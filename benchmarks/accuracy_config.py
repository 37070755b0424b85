"""The config of a training of benchmarks/accuracy.py.

It changes a config of the official schedule, not the demo's, so that a change of the demo leaves the results valid.
"""
import copy
import hashlib
import json
import math
from functools import lru_cache
from pathlib import Path

import accuracy_crops  # noqa: F401  registers CroppedPeople
import numpy as np
from accuracy_measure import CELL, mmpose_codec
from accuracy_plan import Run
from accuracy_variants import MMPOSE, SCALES, VARIANTS, Scale
from mmcv.transforms import BaseTransform
from mmengine.config import Config, ConfigDict
from mmpose.registry import TRANSFORMS
from places import CONFIGS, ROOT

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.options import use_amp, use_fast_training

BASE = ROOT / CONFIGS / 'td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
TEST_BATCH = 64
WARM_UP = 0.06
"""Share of the training in which the learning rate rises."""
CHECKPOINTS = 4
"""In a training; an interrupted one loses at most what follows the last of them."""


@TRANSFORMS.register_module()
class LabeledOrNot(BaseTransform):
    """Makes visibility 0/1 of 0/1/2, which is what mmpose's datasets give its codecs."""

    def transform(self, results: dict) -> dict:
        return dict(results, keypoints_visible=np.minimum(results['keypoints_visible'], 1))


def build_config(run: Run, data: Path, work: Path) -> Config:
    """The config of a run.

    Args:
        run: The run.
        data: Folder of the people.
        work: Folder of all runs.
    """
    scale, variant = SCALES[run.scale], VARIANTS[run.variant]
    cfg = copy.deepcopy(_base(f'{data}/'))
    _network(cfg, run, scale)
    changes = copy.deepcopy(variant.model)
    if changes.get('head', {}).get('decoder', {}).get('kernel_sizes') == -1:
        changes['head']['decoder']['kernel_sizes'] = scale.kernel_sizes[-1:] * len(scale.kernel_sizes)
    cfg.merge_from_dict(dict(model=changes))
    _loaders(cfg, scale, round(scale.batch_size * variant.batch))
    if variant.rule == MMPOSE:
        _use_mmposes_rule(cfg)
    _use_crops(cfg.train_dataloader, indices=max(scale.people)).people = run.people
    _use_crops(cfg.test_dataloader, bbox_file=None)
    _schedule(cfg, run, scale)
    cfg.work_dir, cfg.launcher = str(work / run.name), 'none'
    if variant.fast:
        use_amp(cfg)
        use_fast_training(cfg)
    return cfg


@lru_cache
def _base(data_root: str) -> Config:
    """The config that all others change, read once."""
    return load_config(str(BASE), data_root=data_root)


def _network(cfg: Config, run: Run, scale: Scale) -> None:
    """The scale's network with the run's stages."""
    # Even; operations rise by the square of the channels.
    variant = VARIANTS[run.variant]
    channels = 2 * round(scale.channels * math.sqrt(variant.operations) / 2)
    cfg.model.backbone.update(
        num_stages=run.stages, unit_channels=2 * channels, init_cfg=None,
        encoder=dict(type='ResNet', depth=18, stem_channels=channels, base_channels=channels))
    cfg.model.head.update(num_stages=run.stages, unit_channels=2 * channels, init_cfg=[
        dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', layer='BatchNorm2d', val=variant.norm_weight)])
    cfg.model.head.decoder.update(
        input_size=scale.input_size, heatmap_size=tuple(side // CELL for side in scale.input_size),
        kernel_sizes=scale.kernel_sizes)


def _loaders(cfg: Config, scale: Scale, batch_size: int) -> None:
    """Batches that the training's own process makes; flips are the only augmentation."""
    affine = dict(type='TopdownAffine', input_size=scale.input_size)
    cfg.train_dataloader.dataset.pipeline = [
        *cfg.test_crop, dict(type='RandomFlip', direction='horizontal', prob=0.5), affine,
        dict(type='GenerateTarget', encoder=cfg.model.head.decoder.to_dict()),
        dict(type='PackPoseInputs', meta_keys=cfg.train_meta)]
    cfg.test_dataloader.dataset.pipeline = [*cfg.test_crop, affine, dict(type='PackPoseInputs')]
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    for loader, size in ((cfg.train_dataloader, batch_size), (cfg.test_dataloader, TEST_BATCH)):
        loader.update(num_workers=0, persistent_workers=False, batch_size=size)


def _use_crops(loader: dict, **changes: object) -> dict:
    """Let a loader read crops that are cut once, and return the config of its dataset."""
    source = loader.dataset.to_dict()
    pipeline = source.pop('pipeline')
    # mmengine 0.7 would leave a plain dictionary as it is.
    loader.dataset = ConfigDict(type='CroppedPeople', source={**source, **changes}, pipeline=pipeline)
    return loader.dataset


def _use_mmposes_rule(cfg: Config) -> None:
    """mmpose's targets, masks, losses and decode, as its config of this network has them."""
    stages, head = cfg.model.head.num_stages, cfg.model.head
    codecs = [mmpose_codec(head.decoder, size) for size in head.decoder.kernel_sizes]
    coarse = dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)
    fine = dict(type='KeypointOHKMMSELoss', use_target_weight=True, loss_weight=1.)
    columns, rows = head.decoder.heatmap_size
    cfg.model = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(cfg.model.data_preprocessor, type='PoseDataPreprocessor'),
        backbone=cfg.model.backbone,
        head=dict(type='MSPNHead', out_shape=(rows, columns), unit_channels=head.unit_channels,
                  out_channels=head.out_channels, num_stages=stages, num_units=4,
                  level_indices=[0, 1, 2, 3] * (stages - 1) + [1, 2, 3, 4],
                  loss=[coarse, coarse, coarse, fine] * stages, decoder=codecs[-1], init_cfg=head.init_cfg),
        test_cfg=cfg.model.test_cfg)
    loader = cfg.train_dataloader
    loader.collate_fn = dict(type='pseudo_collate')
    place = next(index for index, step in enumerate(loader.dataset.pipeline) if step['type'] == 'GenerateTarget')
    loader.dataset.pipeline[place] = dict(type='GenerateTarget', multilevel=True, encoder=codecs)
    loader.dataset.pipeline.insert(place, dict(type='LabeledOrNot'))


def _schedule(cfg: Config, run: Run, scale: Scale) -> None:
    warm_up = max(1, round(WARM_UP * run.iterations))
    cfg.train_cfg = dict(by_epoch=False, max_iters=run.iterations)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.optim_wrapper.optimizer.update(
        lr=scale.learning_rate * VARIANTS[run.variant].rate, fused=True)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up + 1, by_epoch=False),
        dict(type='CosineAnnealingLR', eta_min=0, begin=warm_up, end=run.iterations + 1, by_epoch=False)]
    cfg.default_hooks.checkpoint.update(
        interval=-(-run.iterations // CHECKPOINTS), max_keep_ckpts=1, save_best=None, rule=None)
    cfg.default_hooks.logger.interval = 50
    # Both save time and change results by rounding only.
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmpose_mspn.ChannelsLastHook'),
                        dict(type='mmpose_mspn.FreedMemoryHook', keep=True)]
    cfg.randomness = dict(seed=run.seed)


def fingerprint(cfg: Config) -> str:
    """Of a config, without its folders."""
    content = {name: value for name, value in cfg.to_dict().items() if name not in ('work_dir', 'load_from', 'resume')}
    said = json.dumps(content, sort_keys=True, default=str).replace(cfg.data_root, '')
    return hashlib.sha256(said.encode()).hexdigest()[:16]
