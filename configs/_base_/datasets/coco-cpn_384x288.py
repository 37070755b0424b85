# COCO with CPN's crops and augmentation, at a larger input size.
_base_ = './coco-cpn_256x192.py'

codec = dict(input_size=(288, 384), heatmap_size=(72, 96))
train_pipeline = [
    *_base_.cpn_augmentation,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder={**_base_.codec, **codec}),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    *_base_.cpn_crop,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
