# The official 4-stage network. A config adds the codec: model = dict(head=dict(decoder=_base_.codec)).
model = dict(
    type='mmpose_mspn.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='mmpose_mspn.MSPN',
        num_stages=4,
        encoder=dict(type='ResNet', depth=50),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(type='mmpose_mspn.MSPNHead', num_stages=4, out_channels=17),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
