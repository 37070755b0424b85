# COCO keypoints by the official protocol (docs/data.md shows the layout of the folder).
_base_ = './topdown_loaders.py'

# The only path to set.
data_root = 'data/coco/'
# It checks its files, and runs mmpose_mspn.LoadVisibility on every sample before the pipeline. mmpose's own CocoDataset
# serves as well, with that step after LoadImage. Either takes another keypoint set as its metainfo.
dataset_type = 'mmpose_mspn.CocoDataset'

# (width, height)
codec = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(192, 256), heatmap_size=(48, 64), blur_kernel_size=5)

augmentation = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.05, 0.05), random=(0.6, 0.8)),
    dict(type='mmpose_mspn.HalfBody', upper_body_ids=tuple(range(13)), prob=0.3, min_joints=3, random=(0.6, 0.8)),
    dict(type='mmpose_mspn.RandomScaleRotation', shrink=0.8, scale=(0.75, 1.25), rotation=45, rotation_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
]
test_crop = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)),
]
train_pipeline = [
    *augmentation,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs', meta_keys=_base_.train_meta),
]
val_pipeline = [
    *test_crop,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file='person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/'),
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# Score of a person: detector score × mean score of all keypoints, without another suppression. The metric finds the
# dataset's annotation file by itself.
val_evaluator = dict(type='mmpose_mspn.CocoMetric', score_mode='bbox_keypoint', keypoint_score_thr=0., nms_mode='none')
test_evaluator = val_evaluator
