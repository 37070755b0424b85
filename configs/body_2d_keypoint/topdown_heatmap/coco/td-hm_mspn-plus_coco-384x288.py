# MSPN+: the mean of several models' heatmaps. Which models the published one averages is not known; these are two,
# trained by their own configs. More, smaller inputs and weights are further entries. For testing only.
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
