# CrowdPose with the crops and the augmentation of mmpose's own configs, in mmpose's layout.
_base_ = './coco_256x192_mmpose.py'

data_root = 'data/crowdpose/'
dataset_type = 'mmpose_mspn.CrowdPoseDataset'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        data_prefix=dict(img='images/')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_test.json',
        bbox_file='annotations/det_for_crowd_test_0.1_0.5.json',
        data_prefix=dict(img='images/')))
test_dataloader = val_dataloader

val_evaluator = dict(iou_type='keypoints_crowd', use_area=False, nms_mode='oks_nms', prefix='crowdpose')
test_evaluator = val_evaluator
