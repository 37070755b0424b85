_base_ = [
    '../../../_base_/datasets/crowdpose_256x192.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(
    backbone=dict(num_stages=2),
    head=dict(
        num_stages=2,
        out_channels=14,
        # CrowdPose marks every neck and head top as occluded (issue 13 of its repository), so coarse units learn all
        # labeled keypoints.
        loss=dict(visibility='labeled'),
        decoder=_base_.codec))
default_hooks = dict(checkpoint=dict(save_best='crowdpose/AP'))
