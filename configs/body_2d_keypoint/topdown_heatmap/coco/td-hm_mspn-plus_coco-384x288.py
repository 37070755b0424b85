# MSPN+: the mean of several models' heatmaps, for testing only. It is not known which models the published MSPN+
# averages; these are two, trained with their own configs. An entry can also have a weight or a smaller input.
_base_ = ['../../../_base_/datasets/coco_384x288.py', '../../../_base_/default_runtime.py']

train_cfg = train_dataloader = None

model = dict(
    type='mmpose_mspn.EnsemblePoseEstimator',
    members=[
        dict(
            config='{{ fileDirname }}/td-hm_4xmspn50_8xb32-96k_coco-aic-384x288.py',
            checkpoint='work_dirs/td-hm_4xmspn50_8xb32-96k_coco-aic-384x288/iter_96000.pth'),
        dict(
            config='{{ fileDirname }}/td-hm_4xmspn50_8xb32-96k_coco-384x288.py',
            checkpoint='work_dirs/td-hm_4xmspn50_8xb32-96k_coco-384x288/iter_96000.pth'),
    ],
    decoder=_base_.codec,
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
