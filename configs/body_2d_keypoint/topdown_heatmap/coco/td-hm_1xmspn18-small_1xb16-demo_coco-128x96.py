# The demo's network with one stage, which trains more iterations in the same time: docs/accuracy.md.
_base_ = './td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'

max_iters = 3000
model = dict(backbone=dict(num_stages=1), head=dict(num_stages=1))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=181, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=180, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
