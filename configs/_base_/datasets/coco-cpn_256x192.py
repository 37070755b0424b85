# COCO with CPN's crops and augmentation: boxes widened by 1.1 × 1.15, no half bodies.
_base_ = './coco_256x192.py'

# The kernels and the blur before decoding are tf-cpn's.
codec = dict(kernel_sizes=(15, 11, 9, 7), blur_kernel_size=21)
cpn_crop = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.1, 0.15)),
]
cpn_augmentation = [
    *cpn_crop,
    dict(type='mmpose_mspn.RandomScaleRotation', shrink=1, scale=(0.7, 1.35), rotation=45, rotation_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
]
train_pipeline = [
    *cpn_augmentation,
    dict(type='TopdownAffine', input_size=_base_.codec.input_size),
    dict(type='GenerateTarget', encoder={**_base_.codec, **codec}),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    *cpn_crop,
    dict(type='TopdownAffine', input_size=_base_.codec.input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
