_base_ = './td-hm_cpn50_1xb32-656k_coco-384x288.py'

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')))
