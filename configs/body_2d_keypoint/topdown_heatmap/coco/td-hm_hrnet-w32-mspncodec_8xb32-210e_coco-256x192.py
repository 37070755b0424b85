# mmpose's HRNet and heatmap head with this package's targets and decode.
_base_ = [
    '../../../_base_/datasets/coco_256x192_mmpose.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

# The only level, rendered in the data workers as mmpose's head expects it.
codec = dict(kernel_sizes=(7, ), encode_as='heatmaps')
full_codec = {**_base_.codec, **codec}

model = dict(
    backbone=dict(
        _delete_=True,
        type='HRNet',
        in_channels=3,
        extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4, ), num_channels=(64, )),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, ) * 2, num_channels=(32, 64)),
            stage3=dict(num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, ) * 3, num_channels=(32, 64, 128)),
            stage4=dict(
                num_modules=3, num_branches=4, block='BASIC', num_blocks=(4, ) * 4, num_channels=(32, 64, 128, 256))),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/pretrain_models/hrnet_w32-36af842e.pth')),
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=32,
        out_channels=17,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=full_codec))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.augmentation,
            dict(type='TopdownAffine', input_size=_base_.codec.input_size),
            dict(type='GenerateTarget', encoder=full_codec),
            dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
        ]))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
