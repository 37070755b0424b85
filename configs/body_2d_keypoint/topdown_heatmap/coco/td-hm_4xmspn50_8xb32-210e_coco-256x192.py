# mmpose's recipe for its MSPN, schedule, crops and augmentation, on this package's model.
_base_ = [
    '../../../_base_/datasets/coco_256x192_mmpose.py',
    '../../../_base_/schedules/mmpose_210e.py',
    '../../../_base_/models/4xmspn50.py',
]

model = dict(head=dict(decoder=_base_.codec))
