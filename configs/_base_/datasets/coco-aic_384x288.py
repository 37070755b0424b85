# COCO and AI Challenger combined for training; COCO for validation. AI Challenger's folder, aic, lies beside COCO's.
_base_ = './coco_384x288.py'

data_root = 'data/coco/'

# AI Challenger's limbs. It has no facial keypoints, which become not labeled; COCO has no head top and no neck.
aic_to_coco = [
    (0, 6), (1, 8), (2, 10), (3, 5), (4, 7), (5, 9), (6, 12), (7, 14), (8, 16), (9, 11), (10, 13), (11, 15)
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[
            dict(
                type='mmpose_mspn.CocoDataset',
                data_root=data_root,
                ann_file='annotations/person_keypoints_train2017.json',
                data_prefix=dict(img='train2017/')),
            dict(
                type='mmpose_mspn.AicDataset',
                data_root=data_root,
                ann_file='../aic/annotations/aic_train.json',
                data_prefix=dict(
                    img='../aic/ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902/'),
                pipeline=[dict(type='mmpose_mspn.KeypointConverter', num_keypoints=17, mapping=aic_to_coco)]),
        ],
        pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
