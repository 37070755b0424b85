_base_ = './td-hm_2xmspn50_8xb32-96k_coco-256x192.py'

model = dict(head=dict(loss=dict(ohkm_topk=None)))
