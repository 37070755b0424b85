_base_ = [
    '../../../_base_/datasets/coco-wholebody_256x192.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(
    backbone=dict(num_stages=2),
    head=dict(
        num_stages=2,
        out_channels=133,
        # The hardest half of the keypoints, in proportion to 8 of COCO's 17.
        loss=dict(ohkm_topk=64),
        decoder=_base_.codec))
default_hooks = dict(checkpoint=dict(save_best='coco-wholebody/AP'))
