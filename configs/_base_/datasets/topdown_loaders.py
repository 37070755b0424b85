# What all top-down datasets share; each adds its own dataset to the loaders.
data_mode = 'topdown'  # read by MMPoseInferencer

# The annotation itself is of no use to the loss and heavy between processes.
train_meta = ('id', 'img_id', 'img_path', 'input_size', 'input_center', 'input_scale', 'flip_indices')

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_mode='topdown'))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(data_mode='topdown', test_mode=True))
test_dataloader = val_dataloader
