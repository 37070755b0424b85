_base_ = [
    '../../../_base_/datasets/coco-cpn_256x192.py',
    '../../../_base_/schedules/cpn_656k.py',
    '../../../_base_/models/cpn50.py',
]

model = dict(head=dict(decoder=_base_.codec))
