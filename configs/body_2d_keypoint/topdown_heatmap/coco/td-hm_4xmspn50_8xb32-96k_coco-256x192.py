_base_ = [
    '../../../_base_/datasets/coco_256x192.py',
    '../../../_base_/schedules/official_96k.py',
]

model = dict(
    type='mmpose_mspn.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='mmpose_mspn.MSPN',
        num_stages=4,
        encoder=dict(type='ResNet', depth=50),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(type='mmpose_mspn.MSPNHead', num_stages=4, out_channels=17, decoder=_base_.codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
