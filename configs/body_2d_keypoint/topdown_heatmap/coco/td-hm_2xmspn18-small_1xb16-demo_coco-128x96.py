# The demo: a small 2-stage MSPN that trains on two CPU cores within minutes, on the synthetic people.
_base_ = './td-hm_2xmspn50_8xb32-96k_coco-256x192.py'

import torch  # noqa: E402

max_iters = 1800
# `make data` or `make demo` draws these people.
data_root = 'data/synthetic/'
input_size = (96, 128)
# Cells of 2 px, half as large as those of the features, because cells of 4 px would be too coarse for keypoints in so
# small a crop. The kernels have the official sizes in px.
codec = dict(input_size=input_size, heatmap_size=(48, 64), kernel_sizes=(29, 21, 17, 13, 9))

# Flips are the only augmentation, because so short a training sees each person four to five times.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder={**_base_.codec, **codec}),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    *_base_.test_crop,
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
# Without a data worker, which would take a core from the two threads that train.
train_dataloader = dict(
    batch_size=16, num_workers=0, persistent_workers=False, sampler=dict(type='InfiniteSampler'),
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
# The metric is measured with the annotated boxes.
val_dataloader = dict(
    batch_size=64, num_workers=1, dataset=dict(data_root=data_root, pipeline=val_pipeline, bbox_file=None))
test_dataloader = val_dataloader

model = dict(
    backbone=dict(
        encoder=dict(_delete_=True, type='ResNet', depth=18, stem_channels=24, base_channels=24),
        unit_channels=48,
        init_cfg=None),
    head=dict(
        unit_channels=48,
        decoder=codec,
        # Heatmaps must reach 255. In a long training the weights of the last norms grow to that; here they start
        # close to it.
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer='BatchNorm2d', val=20),
        ]))

train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# torch fuses Adam on CPUs from 2.4.
optim_wrapper = dict(optimizer=dict(lr=1e-2, fused=torch.cuda.is_available() or torch.__version__ >= (2, 4)))
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=109, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=108, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters, save_best=None, rule=None))
# Both save time on a CPU and change results by rounding only.
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ChannelsLastHook'),
    dict(type='mmpose_mspn.FreedMemoryHook', keep=True),
]
randomness = dict(seed=0)
