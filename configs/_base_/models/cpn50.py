# CPN (Chen et al., 2018) as tf-cpn builds it. A config adds its codec: model = dict(head=dict(decoder=_base_.codec))
model = dict(
    type='mmpose_mspn.TopdownPoseEstimator',
    # The pixels of the ImageNet weights below; tf-cpn only subtracts means.
    data_preprocessor=dict(
        type='mmpose_mspn.PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(
        type='mmpose_mspn.CPNHead',
        out_channels=17,
        norm_cfg=dict(type='BN', momentum=0.01, eps=1e-9),
        # To use another loss: loss=dict(_delete_=True, type=...).
        loss=dict(
            type='mmpose_mspn.CPNHeatmapLoss',
            # The paper's order: the coarsest level learns the widest kernel. tf-cpn's published models were trained in
            # the reverse order; to fine-tune them, set 'fine_to_coarse'.
            level_order='coarse_to_fine',
            # Online hard keypoint mining (section 3.2): RefineNet learns each person's 8 hardest keypoints.
            ohkm_topk=8,
            # Weight of the mean over GlobalNet's levels; RefineNet's weight is 1.
            global_weight=0.5)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
