# This package's backbone under mmpose's RTMCC head, which predicts by SimCC.
_base_ = [
    '../../../_base_/datasets/coco_256x192_mmpose.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

simcc = dict(
    type='SimCCLabel',
    input_size=_base_.codec.input_size,
    sigma=(4.9, 5.66),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)

model = dict(
    backbone=dict(num_stages=2, output='final'),
    head=dict(
        _delete_=True,
        type='RTMCCHead',
        in_channels=256,
        out_channels=17,
        input_size=_base_.codec.input_size,
        in_featuremap_size=_base_.codec.heatmap_size,
        simcc_split_ratio=simcc['simcc_split_ratio'],
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256, s=128, expansion_factor=2, dropout_rate=0., drop_path=0., act_fn='SiLU',
            use_rel_bias=False, pos_enc=False),
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
        decoder=simcc))
train_dataloader = dict(
    dataset=dict(
        type='mmpose.CocoDataset',  # its visibility, 0 or 1, weights the loss
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='RandomFlip', direction='horizontal'),
            dict(type='mmpose.RandomHalfBody'),
            dict(type='mmpose_mspn.RandomBBoxTransform'),
            dict(type='TopdownAffine', input_size=_base_.codec.input_size),
            dict(type='GenerateTarget', encoder=simcc),
            dict(type='PackPoseInputs'),
        ]))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
