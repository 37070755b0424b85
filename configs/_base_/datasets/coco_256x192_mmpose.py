# COCO with the crops and the augmentation of mmpose's own configs. Visibility, targets and decode stay the official
# ones.
_base_ = './coco_256x192.py'

augmentation = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    # It sums visibility to count joints: mmpose's limit of 9, where a visible joint is 2.
    dict(type='RandomHalfBody', min_total_keypoints=18),
    dict(type='mmpose_mspn.RandomBBoxTransform'),
]
test_crop = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
]
train_pipeline = [
    *augmentation,
    dict(type='TopdownAffine', input_size=_base_.codec.input_size),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    *test_crop,
    dict(type='TopdownAffine', input_size=_base_.codec.input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
