_base_ = [
    '../../../_base_/datasets/coco_384x288.py',
    '../../../_base_/schedules/official_96k.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(head=dict(decoder=_base_.codec))
