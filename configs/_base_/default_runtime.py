# mmpose's runtime, and hooks for crashes (checkpoints are written whole), interruptions (resuming is exact), weights of
# other keypoints (load_from carries them over by name), losses that turn NaN (the run stops before they reach the
# weights) and checkpoints of other models (they are refused).
_base_ = 'mmpose::_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ResumableDataHook'),
    dict(type='mmpose_mspn.CarryKeypointsHook'),
    dict(type='mmpose_mspn.NonFiniteLossHook'),
    dict(type='mmpose_mspn.CheckpointFitHook'),
]
