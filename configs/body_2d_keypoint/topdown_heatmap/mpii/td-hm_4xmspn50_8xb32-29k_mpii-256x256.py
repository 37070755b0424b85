_base_ = [
    '../../../_base_/datasets/mpii_256x256.py',
    '../../../_base_/schedules/official_29k.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(head=dict(out_channels=16, decoder=_base_.codec))
