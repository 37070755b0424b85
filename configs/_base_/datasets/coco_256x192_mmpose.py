# COCO with the crops and the augmentation of mmpose's own configs, and the official visibility, targets and decoding.
_base_ = './coco_256x192.py'

# GetBBoxCenterScale comes first, because it must read the box as mmpose clips it.
test_crop = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='mmpose_mspn.LoadVisibility'),
]
augmentation = [
    *test_crop,
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='mmpose_mspn.RandomHalfBody'),
    dict(type='mmpose_mspn.RandomBBoxTransform'),
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
