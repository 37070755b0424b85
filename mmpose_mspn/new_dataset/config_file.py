"""The text of the config files that tools/new_dataset.py writes."""
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config

from mmpose_mspn.new_dataset.plan import IMAGE_CACHE_GB, VALIDATIONS, WARMUP_SHARE, Plan

CONFIGS = Path(__file__).parents[1] / '.mim' / 'configs'
"""This package's own configs."""
BASES = ('_base_/models/4xmspn50.py', '_base_/default_runtime.py', '_base_/datasets/topdown_loaders.py')
NORM_WEIGHT = 20.
"""Start of the norms in the predictors. Targets have a maximum of 255, and the last norm's weight decides how large
heatmaps are at first; Adam moves it by no more than the learning rate in a step. docs/own_keypoints.md shows what was
measured."""
COLOR_STEP = 'PhotometricDistortion'
"""Changes brightness, contrast, saturation and hue of a crop, and the order of its channels.
docs/own_keypoints_measured.md shows what that is worth with 60 images."""
HOOK = 'mmpose_mspn.TransferKeypointsHook'


class ConfigFacts(NamedTuple):
    """What the text of a config is made from.

    Attributes:
        title: Its first line.
        category: Name and id of the category, for files of boxes.
        plan: Network, crops, schedule and augmentation.
        out: Folder of the config, absolute.
        train_images: Folder of the images, absolute.
        val_images: Likewise.
        keypoints: K.
        has_pairs: Whether a horizontal flip is known to swap the right keypoints.
        upper_ids: Indices of the upper keypoints, or ``None`` without half-body crops.
        visibility: See :class:`mmpose_mspn.models.losses.multi_stage_heatmap_loss.VisibilityRule`.
        save_best: Name of the metric that chooses the best checkpoint.
        load_from: Checkpoint to start from, absolute, or ``None``.
        keypoint_map: See :class:`mmpose_mspn.engine.TransferKeypointsHook`.
        source_names: Likewise.
    """
    title: str
    category: dict
    plan: Plan
    out: Path
    train_images: Path
    val_images: Path
    keypoints: int
    has_pairs: bool
    upper_ids: Optional[Tuple[int, ...]]
    visibility: str
    save_best: str
    load_from: Optional[Path] = None
    keypoint_map: Optional[Dict[str, str]] = None
    source_names: Optional[Sequence[str]] = None


def base_text() -> str:
    """This package's base configs as one file, so that the new config depends on no folder but its own."""
    merged: dict = {}
    for base in BASES:
        merged.update(Config.fromfile(str(CONFIGS / base)).to_dict())
    # The new config names this hook itself, with its map of keypoints.
    merged['custom_hooks'] = [hook for hook in merged['custom_hooks'] if hook['type'] != HOOK]
    header = '# Base configs of mmpose_mspn, as tools/new_dataset.py found them. config.py changes and adds to them.\n'
    return header + Config(merged).pretty_text


def config_text(facts: ConfigFacts) -> str:
    """The text of the config that trains, validates and tests."""
    return '\n'.join([_knobs(facts), _data(facts), _model(facts), _training(facts)])


def _knobs(facts: ConfigFacts) -> str:
    plan = facts.plan
    return f'''# {facts.title}
_base_ = ['./base.py', './metainfo.py']

# What to change first.
max_iters = {plan.max_iters}
warmup_iters = max(1, round(max_iters / {1 / WARMUP_SHARE:.0f}))
val_interval = (max_iters + {VALIDATIONS - 1}) // {VALIDATIONS}  # iterations between validations and checkpoints
batch_size = {plan.batch_size}
lr = {plan.lr}  # after the warm-up, for this batch size
load_from = {str(facts.load_from) if facts.load_from else None!r}  # checkpoint to start from, of any keypoint set
backbone_lr_factor = 1.0  # learning rate of the backbone as a share of lr
frozen_stages = -1  # -1: none; 0: the stem; n: the stem and the first n stages keep their weights

# Where the files are. With --data-root another folder takes the place of data_root.
data_root = {f'{facts.out}/'!r}
train_images = {str(facts.train_images)!r}
val_images = {str(facts.val_images)!r}
work_dir = data_root + 'work_dir'
image_cache = dict(cache_folder=data_root + 'decoded', cache_gb={IMAGE_CACHE_GB})  # decoded images
category = {facts.category}  # of the boxes that tools/infer.py takes from files and detectors
'''


def _data(facts: ConfigFacts) -> str:
    plan = facts.plan
    return f'''codec = dict(
    type='mmpose_mspn.CoarseToFineHeatmap',
    input_size={plan.input_size},
    heatmap_size={plan.heatmap_size},
    kernel_sizes={plan.kernel_sizes},
    blur_kernel_size=5)
train_pipeline = [
    dict(type='mmpose_mspn.LoadImage', **image_cache),
{_augmentation(facts)}    dict(type='TopdownAffine', input_size=codec['input_size']),
{_color_augmentation(facts)}    dict(type='GenerateTarget', encoder=codec),
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
    num_workers=1,
    dataset=dict(**dataset, ann_file='val.json', data_prefix=dict(img=val_images), pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='mmpose_mspn.CocoMetric', score_mode='bbox_keypoint', keypoint_score_thr=0., nms_mode='none'),
    dict(type='PCKAccuracy', thr=0.1),  # share of keypoints closer than 0.1 of the longer side of the box
]
test_evaluator = val_evaluator
'''


def _augmentation(facts: ConfigFacts) -> str:
    """The steps between loading and cropping, a line each."""
    if facts.plan.full_augmentation:
        steps = ["type='mmpose_mspn.WidenBBox', fixed=(0.05, 0.05), random=(0.6, 0.8)"]
        if facts.upper_ids:
            steps.append(f"type='mmpose_mspn.HalfBody', upper_body_ids={facts.upper_ids}, prob=0.3, min_joints=3, "
                         'random=(0.6, 0.8)')
        steps.append("type='mmpose_mspn.RandomScaleRotation', shrink=0.8, scale=(0.75, 1.25), rotation=45, "
                     'rotation_prob=0.5')
    else:
        steps = ["type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)"]
    if facts.has_pairs:
        steps.append("type='RandomFlip', direction='horizontal', prob=0.5")
    return ''.join(f'    dict({step}),\n' for step in steps)


def _color_augmentation(facts: ConfigFacts) -> str:
    """The step after cropping, which has the crop's pixels to change, not the whole image's."""
    if not facts.plan.full_augmentation:
        return ''
    return f"    dict(type='{COLOR_STEP}'),  # remove it if only color tells keypoints apart\n"


def _model(facts: ConfigFacts) -> str:
    backbone = facts.plan.backbone
    others = {key: value for key, value in backbone.items() if key not in ('type', 'num_stages', 'encoder')}
    arguments = ''.join(f'\n        {key}={value!r},' for key, value in others.items())
    encoder = ', '.join(f'{key}={value!r}' for key, value in backbone['encoder'].items())
    return f'''model = dict(
    backbone=dict(
        num_stages={backbone['num_stages']},
        encoder=dict(_delete_=True, {encoder}),{arguments}
        frozen_stages=frozen_stages,
        init_cfg=None),
    head=dict(
        num_stages={backbone['num_stages']},
        unit_channels={backbone['unit_channels']},
        out_channels={facts.keypoints},
        decoder=codec,
        loss=dict(ohkm_topk={facts.plan.ohkm_topk}, visibility={facts.visibility!r}),
        # Targets have a maximum of 255. From norms of 1, heatmaps would take thousands of steps to get there.
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val={NORM_WEIGHT:g}),
        ]),
    test_cfg=dict(flip_test={facts.has_pairs}))
'''


def _training(facts: ConfigFacts) -> str:
    carry = ', '.join([f"type='{HOOK}'", *(f'{name}={value!r}' for name, value in (
        ('mapping', facts.keypoint_map), ('source_names', facts.source_names)) if value)])
    return f'''train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=val_interval)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=lr, weight_decay=1e-5, fused=True),
    paramwise_cfg=dict(custom_keys={{'backbone': dict(lr_mult=backbone_lr_factor)}}))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup_iters + 1, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=warmup_iters, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        by_epoch=False, interval=val_interval, max_keep_ckpts=1, save_best={facts.save_best!r}, rule='greater'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ChannelsLastHook'),
    dict({carry}),
]
log_processor = dict(by_epoch=False)
'''
