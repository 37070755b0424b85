# The schedule of mmpose's own top-down heatmap configs: 210 epochs, two drops of the rate. The rate is its MSPN's.
_base_ = '../default_runtime.py'

train_cfg = dict(max_epochs=210, val_interval=10)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-3))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(type='MultiStepLR', milestones=[170, 200], gamma=0.1, begin=0, end=210, by_epoch=True),
]
default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))
