# CPN as tf-cpn builds it. A config adds the codec: model = dict(head=dict(decoder=_base_.codec)).
model = dict(
    type='mmpose_mspn.TopdownPoseEstimator',
    # These weights' own pixels, not tf-cpn's, which only subtracts means.
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(
        type='mmpose_mspn.CPNHead',
        out_channels=17,
        # The paper's order: the coarsest level learns the widest kernel. tf-cpn's published models were trained the
        # other way round: 'fine_to_coarse' fine-tunes those.
        level_order='coarse_to_fine',
        norm_cfg=dict(type='BN', momentum=0.01, eps=1e-9)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
