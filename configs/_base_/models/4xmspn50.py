# The official 4-stage network (Li et al., 2019). A config adds its codec: model = dict(head=dict(decoder=_base_.codec))
model = dict(
    type='mmpose_mspn.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='mmpose_mspn.PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='mmpose_mspn.MSPN',
        num_stages=4,
        encoder=dict(type='ResNet', depth=50),
        # Cross-stage feature aggregation (section 3.2): a stage's encoder adds the features of the stage before.
        cross_stage_aggregation=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(
        type='mmpose_mspn.MSPNHead',
        num_stages=4,
        out_channels=17,
        # To use another loss: loss=dict(_delete_=True, type=...).
        loss=dict(
            type='mmpose_mspn.MultiStageHeatmapLoss',
            # Coarse-to-fine supervision (section 3.3): the last stage learns finer kernels than the stages before it.
            coarse_to_fine=True,
            # Online hard keypoint mining (section 3.3): a stage's last unit learns each person's 8 hardest keypoints.
            ohkm_topk=8,
            # One weight per unit of a stage, coarse unit first; stage_weights adds one per stage, default 1.
            unit_weights=(0.25, 0.25, 0.25, 1.0))),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
