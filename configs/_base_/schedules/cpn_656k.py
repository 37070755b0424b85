# CPN's schedule: Adam from 5e-4, halved every 60 epochs of 60,000 images, a batch of 32. Here by iterations, since
# those epochs are not the dataset's.
_base_ = '../default_runtime.py'

batch = 32
epoch = 60000 // batch
max_iters = 350 * epoch  # the length is our choice: five halvings
interval = 10 * epoch

train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=interval)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4, weight_decay=1e-5))
auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [dict(type='StepLR', step_size=60 * epoch, gamma=0.5, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=interval, max_keep_ckpts=5, save_best='coco/AP', rule='greater'))
log_processor = dict(by_epoch=False)
