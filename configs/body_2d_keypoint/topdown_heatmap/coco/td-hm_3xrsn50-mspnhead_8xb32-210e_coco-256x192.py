_base_ = './td-hm_rsn50-mspnhead_8xb32-210e_coco-256x192.py'

model = dict(backbone=dict(num_stages=3), head=dict(num_stages=3))
