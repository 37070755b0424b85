# With external data: COCO and AI Challenger.
_base_ = [
    '../../../_base_/datasets/coco-aic_384x288.py',
    '../../../_base_/schedules/official_96k.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(head=dict(decoder=_base_.codec))
