_base_ = './td-hm_mspn50_8xb32-96k_coco-256x192.py'

model = dict(
    backbone=dict(
        encoder=dict(type='ResNeXt', groups=32, width_per_group=4),
        init_cfg=dict(checkpoint='torchvision://resnext50_32x4d')))
