"""The text of the config that tools/new_dataset.py writes."""
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

from mmengine.config import Config

import mmpose_mspn
from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.plan import Plan

CONFIGS = Path(mmpose_mspn.__file__).parent / '.mim' / 'configs'
"""This package's own configs."""
BASES = ('_base_/models/4xmspn50.py', '_base_/default_runtime.py', '_base_/datasets/topdown_loaders.py')
NORM_WEIGHT = 20.
"""Start of the predictors' norms: see docs/own_keypoints.md."""


def base_text() -> str:
    """The package's base configs in one file, so that the new config depends on no other folder."""
    merged: dict = {}
    for base in BASES:
        merged.update(Config.fromfile(str(CONFIGS / base)).to_dict())
    return Config(merged).pretty_text


def config_text(category: Category, plan: Plan, out: Path, images: Tuple[Path, Path], title: str,
                has_pairs: bool, upper_ids: Optional[Sequence[int]], visibility: str, save_best: str,
                init_from: Optional[Path] = None, keypoint_map: Optional[Dict[str, str]] = None) -> str:
    """The text of the config."""
    steps = [f"dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135){', random=(0.3, 0.4)' if plan.full_augmentation else ''})"]
    if plan.full_augmentation:
        if upper_ids:
            steps.append(f"dict(type='mmpose_mspn.HalfBody', upper_body_ids={tuple(upper_ids)}, prob=0.3, min_joints=3)")
        steps.append("dict(type='mmpose_mspn.RandomScaleRotation', shrink=0.9, scale=(0.8, 1.2), rotation=30, rotation_prob=0.5)")
    if has_pairs:
        steps.append("dict(type='RandomFlip', direction='horizontal', prob=0.5)")
    augmentation = '\n'.join(f'    {step},' for step in steps)
    encoder = ', '.join(f'{k}={v!r}' for k, v in plan.backbone['encoder'].items())
    return f'''# {title}
_base_ = ['./base.py', './metainfo.py']

max_iters = {plan.max_iters}
batch_size = {plan.batch_size}
lr = {plan.lr}
backbone_lr_factor = 1.0
frozen_stages = -1
norm_weight = {NORM_WEIGHT}
flip = {has_pairs}
load_from = {str(init_from) if init_from else None!r}

data_root = {str(out) + '/'!r}
train_images = {str(images[0])!r}
val_images = {str(images[1])!r}
work_dir = {str(out / 'work_dir')!r}

codec = dict(
    type='mmpose_mspn.CoarseToFineHeatmap',
    input_size={plan.input_size},
    heatmap_size={plan.heatmap_size},
    kernel_sizes={plan.kernel_sizes},
    blur_kernel_size=5)

train_pipeline = [
    dict(type='LoadImage'),
{augmentation}
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
dataset = dict(type='mmpose_mspn.CocoDataset', data_root=data_root, metainfo=_base_.dataset_info)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler'),
    dataset=dict(**dataset, ann_file='train.json', data_prefix=dict(img=train_images), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(**dataset, ann_file='val.json', data_prefix=dict(img=val_images), pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='CocoMetric', score_mode='bbox_keypoint', keypoint_score_thr=0., nms_mode='none'),
    dict(type='PCKAccuracy', thr=0.1),
]
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        num_stages={plan.backbone['num_stages']},
        encoder=dict(_delete_=True, {encoder}),
        unit_channels={plan.backbone['unit_channels']},
        frozen_stages=frozen_stages,
        init_cfg=None),
    head=dict(
        num_stages={plan.backbone['num_stages']},
        unit_channels={plan.backbone['unit_channels']},
        out_channels={len(category.keypoints)},
        ohkm_topk={plan.ohkm_topk},
        loss=dict(visibility={visibility!r}),
        decoder=codec,
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=norm_weight),
        ]),
    test_cfg=dict(flip_test=flip))

train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval={plan.val_interval})
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=lr, weight_decay=1e-5, fused=True),
    paramwise_cfg=dict(custom_keys={{'backbone': dict(lr_mult=backbone_lr_factor)}}))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end={plan.warmup_iters + 1}, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin={plan.warmup_iters}, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval={plan.val_interval}, save_best={save_best!r}, rule='greater', max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
custom_hooks = [*_base_.custom_hooks, dict(type='mmpose_mspn.ChannelsLastHook')]
'''
