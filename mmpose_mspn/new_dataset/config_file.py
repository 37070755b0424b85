"""The files that tools/new_dataset.py writes."""
import re
import tempfile
from pathlib import Path

from mmengine.config import Config

from mmpose_mspn.apis.options import can_fuse
from mmpose_mspn.data_check.files import DatasetFiles, check_files
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.dataset import CONFIG, KIND, NewDataset, Options, best_metric, plan_dataset
from mmpose_mspn.new_dataset.metainfo import build_metainfo, metainfo_text
from mmpose_mspn.new_dataset.plan import IMAGE_CACHE_GB, VALIDATIONS, WARMUP_SHARE
from mmpose_mspn.utils.arguments import truncate
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath, write_json
from mmpose_mspn.utils.outputs import write_json_output, write_output

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


def create(options: Options) -> NewDataset:
    """Write ``config.py``, ``base.py``, ``metainfo.py``, ``train.json`` and ``val.json`` into a folder.

    Raises:
        FileExistsError: The folder has a config and ``force`` is not set.
        FileNotFoundError: A file or folder does not exist.
        OutputError: A file that no earlier call has written, or that was edited since, stands in the way.
        UserError: An option or a file is not usable.
    """
    dataset = plan_dataset(options)
    _write(dataset)
    return dataset


def _write(dataset: NewDataset) -> None:
    category, out = dataset.category, dataset.config.parent
    metainfo = build_metainfo(category, dataset.pairs.pairs, dataset.sigmas.values)
    texts = {'metainfo.py': metainfo_text(metainfo), 'base.py': base_text(), CONFIG: config_text(dataset)}
    for text in texts.values():
        _refuse_braces(text)
    options = dataset.options
    contents = {'train.json': dict(images=dataset.train.images, annotations=dataset.train.annotations),
                'val.json': dict(images=dataset.val.images, annotations=dataset.val.annotations)}
    for content in contents.values():
        content['categories'] = [_written(category)]
    _refuse_faulty(contents['train.json'], options.train_file, options.images, len(category.keypoints))
    _refuse_faulty(contents['val.json'], options.val or options.train_file, options.val_images or options.images,
                   len(category.keypoints))
    for name, content in contents.items():
        write_json_output(out / name, content, KIND)
    for name, text in texts.items():
        write_output(out / name, text.encode(), KIND)


def _refuse_faulty(content: dict, source: FilePath, images: FilePath, num_keypoints: int) -> None:
    """Refuse what tools/check_data.py would not accept in the written file; messages name the file that it is from."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'annotations.json')
        write_json(file, content)
        try:
            raise_first(check_files(DatasetFiles('CocoDataset', str(file), str(images), (), num_keypoints)))
        except DataError as error:
            raise DataError(str(error).replace(str(file), str(source))) from error


def _refuse_braces(text: str) -> None:
    """Refuse what mmengine replaces when it reads a config or one that a run has written to its work directory."""
    braces = re.search(r'\{\{.*', text)
    if braces:
        raise DataError(f'{truncate(braces[0])}: a name or a folder holds double braces, which mmengine replaces in '
                        'configs: rename the keypoint, the category or the folder')


def _written(category: Category) -> dict:
    """The category's entry in the annotation files, where the links of a skeleton count from 1."""
    return dict(id=category.written_id, name=category.name, keypoints=list(category.keypoints),
                skeleton=[[first + 1, second + 1] for first, second in category.skeleton])


def base_text() -> str:
    """This package's base configs as one file, so that the new config depends on no folder but its own."""
    merged: dict = {}
    for base in BASES:
        merged.update(Config.fromfile(str(CONFIGS / base)).to_dict())
    # The new config names this hook itself, with its map of keypoints.
    merged['custom_hooks'] = [hook for hook in merged['custom_hooks'] if hook['type'] != HOOK]
    header = '# Base configs of mmpose_mspn, as tools/new_dataset.py found them. config.py changes and adds to them.\n'
    return header + Config(merged).pretty_text


def config_text(dataset: NewDataset) -> str:
    """The text of the config that trains, validates and tests."""
    return '\n'.join([_knobs(dataset), _data(dataset), _model(dataset), _training(dataset)])


def _knobs(dataset: NewDataset) -> str:
    plan, options, category = dataset.plan, dataset.options, dataset.category
    boxes_category = dict(name=category.name, id=category.written_id)
    title = (f'{" ".join(category.name.split())}: {len(category.keypoints)} keypoints, {len(dataset.train.objects)} '
             'objects to train on. Written by tools/new_dataset.py.')
    return f'''# {title}
_base_ = ['./base.py', './metainfo.py']

# What to change first.
max_iters = {plan.max_iters}
warmup_iters = max(1, round(max_iters / {1 / WARMUP_SHARE:.0f}))
val_interval = (max_iters + {VALIDATIONS - 1}) // {VALIDATIONS}  # iterations between validations and checkpoints
batch_size = {plan.batch_size}
lr = {plan.lr}  # after the warm-up, for this batch size
load_from = {str(dataset.start.path) if dataset.start else None!r}  # checkpoint to start from, of any keypoint set
backbone_lr_factor = 1.0  # learning rate of the backbone as a share of lr
frozen_stages = -1  # -1: none; 0: the stem; n: the stem and the first n stages keep their weights

# Where the files are. With --data-root another folder takes the place of data_root.
data_root = {f'{dataset.config.parent}/'!r}
train_images = {str(Path(options.images).resolve())!r}
val_images = {str(Path(options.val_images or options.images).resolve())!r}
work_dir = data_root + 'work_dir'
image_cache = dict(cache_folder=data_root + 'decoded', cache_gb={IMAGE_CACHE_GB})  # decoded images
category = {boxes_category}  # of the boxes that tools/infer.py takes from files and detectors
'''


def _data(dataset: NewDataset) -> str:
    plan = dataset.plan
    return f'''codec = dict(
    type='mmpose_mspn.CoarseToFineHeatmap',
    input_size={plan.input_size},
    heatmap_size={plan.heatmap_size},
    kernel_sizes={plan.kernel_sizes},
    blur_kernel_size=5)
train_pipeline = [
    dict(type='mmpose_mspn.LoadImage', **image_cache),
{_augmentation(dataset)}    dict(type='TopdownAffine', input_size=codec['input_size']),
{_color_augmentation(dataset)}    dict(type='GenerateTarget', encoder=codec),
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


def _augmentation(dataset: NewDataset) -> str:
    """The steps between loading and cropping, a line each."""
    if dataset.plan.full_augmentation:
        steps = ["type='mmpose_mspn.WidenBBox', fixed=(0.05, 0.05), random=(0.6, 0.8)"]
        if dataset.upper_ids:
            steps.append(f"type='mmpose_mspn.HalfBody', upper_body_ids={dataset.upper_ids}, prob=0.3, min_joints=3, "
                         'random=(0.6, 0.8)')
        steps.append("type='mmpose_mspn.RandomScaleRotation', shrink=0.8, scale=(0.75, 1.25), rotation=45, "
                     'rotation_prob=0.5')
    else:
        steps = ["type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)"]
    if dataset.pairs.can_flip:
        steps.append("type='RandomFlip', direction='horizontal', prob=0.5")
    return ''.join(f'    dict({step}),\n' for step in steps)


def _color_augmentation(dataset: NewDataset) -> str:
    """The step after cropping, which has the crop's pixels to change, not the whole image's."""
    if not dataset.plan.full_augmentation:
        return ''
    return f"    dict(type='{COLOR_STEP}'),  # remove it if only color tells keypoints apart\n"


def _model(dataset: NewDataset) -> str:
    backbone = dataset.plan.backbone
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
        out_channels={len(dataset.category.keypoints)},
        decoder=codec,
        loss=dict(ohkm_topk={dataset.plan.ohkm_topk}, visibility={dataset.visibility!r}),
        # Targets have a maximum of 255. From norms of 1, heatmaps would take thousands of steps to get there.
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val={NORM_WEIGHT:g}),
        ]),
    test_cfg=dict(flip_test={dataset.pairs.can_flip}))
'''


def _training(dataset: NewDataset) -> str:
    mapping = dataset.start.keypoint_map if dataset.start else None
    carry = ', '.join([f"type='{HOOK}'", *(f'{name}={value!r}' for name, value in (
        ('mapping', mapping), ('source_names', dataset.options.source_names)) if value)])
    save_best = best_metric(dataset.sigmas)
    fused = ', fused=True' if can_fuse('Adam') else ''
    return f'''train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=val_interval)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=lr, weight_decay=1e-5{fused}),
    paramwise_cfg=dict(custom_keys={{'backbone': dict(lr_mult=backbone_lr_factor)}}))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup_iters + 1, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=warmup_iters, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        by_epoch=False, interval=val_interval, max_keep_ckpts=1, save_best={save_best!r}, rule='greater'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ChannelsLastHook'),
    dict({carry}),
]
log_processor = dict(by_epoch=False)
'''
