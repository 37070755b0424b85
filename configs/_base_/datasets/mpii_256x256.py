# MPII by the official protocol (docs/data.md shows the layout of the folder).
_base_ = './topdown_loaders.py'

data_root = 'data/mpii/'
dataset_type = 'mmpose_mspn.MpiiDataset'

codec = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(256, 256), heatmap_size=(64, 64), blur_kernel_size=9)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.25, 0.25)),
    dict(type='mmpose_mspn.HalfBody', upper_body_ids=tuple(range(7, 16)), prob=0.5, min_joints=8, random=(0.6, 0.6)),
    dict(type='mmpose_mspn.RandomScaleRotation', shrink=1, scale=(0.75, 1.25), rotation=60, rotation_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.25, 0.25)),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_val.json',
        headbox_file='annotations/mpii_gt_val.mat',
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpose_mspn.MpiiPCKAccuracy')
test_evaluator = val_evaluator
# MPII's own annotation file, from which the test config makes the submission.
release_file = data_root + 'annotations/mpii_human_pose_v1_u12_1.mat'
