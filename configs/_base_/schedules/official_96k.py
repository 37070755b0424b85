# The official schedule: iterations, Adam, linear warm-up, linear decay to zero at the last iteration.
_base_ = '../default_runtime.py'

max_iters = 96000
warmup_iters = 2400
interval = 2400

train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=interval)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=4e-3, weight_decay=1e-5))  # 5e-4 a GPU of 32 images
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    # A scheduler from iteration a to iteration b has end = b + 1.
    dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup_iters + 1, by_epoch=False),
    dict(type='PolyLR', power=1, eta_min=0, begin=warmup_iters, end=max_iters + 1, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=interval, max_keep_ckpts=5, save_best='coco/AP', rule='greater'))
log_processor = dict(by_epoch=False)
