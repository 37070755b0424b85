_base_ = './td-hm_4xmspn50_8xb32-29k_mpii-256x256.py'

model = dict(backbone=dict(num_stages=2), head=dict(num_stages=2))
