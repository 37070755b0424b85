# COCO-WholeBody with the crops and the augmentation of mmpose's own configs. Its annotations lie beside COCO's.
_base_ = './coco_256x192_mmpose.py'

data_root = 'data/coco/'
dataset_type = 'mmpose_mspn.CocoWholeBodyDataset'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type, data_root=data_root, ann_file='annotations/coco_wholebody_train_v1.0.json'))
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='annotations/coco_wholebody_val_v1.0.json'))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpose_mspn.CocoWholeBodyMetric')
test_evaluator = val_evaluator
