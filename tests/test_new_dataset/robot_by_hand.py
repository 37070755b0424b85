"""What an experienced user would write for the robots by hand, from this package's own base configs. A test compares it
with what tools/new_dataset.py writes. ``data_root`` is replaced by the folder of the robots."""
_base_ = ['../../configs/_base_/default_runtime.py', '../../configs/_base_/models/4xmspn50.py',
          '../../configs/_base_/datasets/topdown_loaders.py']

data_root = 'data/robots/'
robot = dict(
    dataset_name='robot',
    keypoint_info={
        0: dict(name='left_shoulder', id=0, color=[0, 255, 0], type='upper', swap='right_shoulder'),
        1: dict(name='right_shoulder', id=1, color=[255, 128, 0], type='upper', swap='left_shoulder'),
        2: dict(name='left_wrist', id=2, color=[0, 255, 0], type='upper', swap='right_wrist'),
        3: dict(name='right_wrist', id=3, color=[255, 128, 0], type='upper', swap='left_wrist'),
        4: dict(name='left_knee', id=4, color=[0, 255, 0], type='lower', swap='right_knee'),
        5: dict(name='right_knee', id=5, color=[255, 128, 0], type='lower', swap='left_knee'),
        6: dict(name='left_ankle', id=6, color=[0, 255, 0], type='lower', swap='right_ankle'),
        7: dict(name='right_ankle', id=7, color=[255, 128, 0], type='lower', swap='left_ankle'),
    },
    skeleton_info={
        0: dict(link=('left_ankle', 'left_knee'), id=0, color=[0, 255, 0]),
        1: dict(link=('right_ankle', 'right_knee'), id=1, color=[255, 128, 0]),
        2: dict(link=('left_shoulder', 'right_shoulder'), id=2, color=[51, 153, 255]),
    },
    joint_weights=[1.] * 8,
    sigmas=[0.079, 0.079, 0.062, 0.062, 0.087, 0.087, 0.089, 0.089])

codec = dict(
    type='mmpose_mspn.CoarseToFineHeatmap', input_size=(64, 128), heatmap_size=(32, 64),
    kernel_sizes=(29, 21, 17, 13, 9), blur_kernel_size=5)
model = dict(
    backbone=dict(
        num_stages=1,
        encoder=dict(_delete_=True, type='ResNet', depth=18, stem_channels=24, base_channels=24),
        unit_channels=48,
        init_cfg=None),
    head=dict(
        num_stages=1,
        unit_channels=48,
        out_channels=8,
        decoder=codec,
        init_cfg=[dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', layer='_BatchNorm', val=20)]))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.05, 0.05), random=(0.6, 0.8)),
    dict(type='mmpose_mspn.HalfBody', upper_body_ids=(0, 1, 2, 3), prob=0.3, min_joints=3, random=(0.6, 0.8)),
    dict(type='mmpose_mspn.RandomScaleRotation', shrink=0.8, scale=(0.75, 1.25), rotation=45, rotation_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=(64, 128)),
    dict(type='PhotometricDistortion'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)),
    dict(type='TopdownAffine', input_size=(64, 128)),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler'),
    dataset=dict(
        type='mmpose_mspn.CocoDataset', data_root=data_root, ann_file='robots_train.json',
        data_prefix=dict(img='train2017/'), metainfo=robot, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type='mmpose_mspn.CocoDataset', data_root=data_root, ann_file='robots_val.json',
        data_prefix=dict(img='val2017/'), metainfo=robot, pipeline=val_pipeline))
test_dataloader = val_dataloader
# The file has no areas.
val_evaluator = dict(type='mmpose_mspn.CocoMetric', score_mode='bbox_keypoint', keypoint_score_thr=0., nms_mode='none',
                     use_area=False)
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=False, max_iters=3500, val_interval=350)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-2, weight_decay=1e-5, fused=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=220, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=219, end=3501, by_epoch=False),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=350, save_best='coco/AP',
                                                               rule='greater'))
custom_hooks = [*_base_.custom_hooks, dict(type='mmpose_mspn.ChannelsLastHook')]
log_processor = dict(by_epoch=False)
