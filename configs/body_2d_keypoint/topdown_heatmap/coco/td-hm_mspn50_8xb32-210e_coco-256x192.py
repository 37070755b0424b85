_base_ = './td-hm_4xmspn50_8xb32-210e_coco-256x192.py'

model = dict(backbone=dict(num_stages=1), head=dict(num_stages=1))
