# mmpose's RSN under this package's head.
_base_ = [
    '../../../_base_/datasets/coco_256x192_mmpose.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='RSN',
        unit_channels=256,
        num_stages=1,
        num_units=4,
        num_blocks=[3, 4, 6, 3],
        num_steps=4,
        norm_cfg=dict(type='BN')),
    head=dict(num_stages=1, decoder=_base_.codec))
