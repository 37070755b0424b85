# Loaders that all top-down datasets share. Each config of a dataset adds the dataset to them.
data_mode = 'topdown'  # read by MMPoseInferencer

# Not the annotation itself: the loss does not need it, and it is slow to send between processes.
# The dataset compares ori_shape with the annotated size.
train_meta = ('id', 'img_id', 'img_path', 'ori_shape', 'input_size', 'input_center', 'input_scale', 'flip_indices')

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    # The workers send one tensor of crops and one of each kind of label, instead of several for each person.
    collate_fn=dict(type='mmpose_mspn.stack_samples'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_mode='topdown'))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    # No collate_fn: MMPoseInferencer reads the test loader's and takes nothing but a name of mmengine.
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(data_mode='topdown', test_mode=True))
test_dataloader = val_dataloader
