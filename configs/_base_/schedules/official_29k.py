# The official schedule for MPII: that of COCO, cut to 28,800 iterations.
_base_ = './official_96k.py'

max_iters = 28800

train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    {**_base_.param_scheduler[1], 'end': max_iters + 1},
]
default_hooks = dict(checkpoint=dict(save_best='PCK'))
