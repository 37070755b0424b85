_base_ = './td-hm_mspn50_8xb32-96k_coco-256x192.py'

model = dict(
    backbone=dict(
        encoder=dict(depth=152),
        init_cfg=dict(checkpoint='torchvision://resnet152')))
