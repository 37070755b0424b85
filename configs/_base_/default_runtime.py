# mmpose's runtime, and hooks for crashes (checkpoints are written whole), interruptions (resuming is exact), weights of
# other keypoints (load_from carries them over by name), losses that turn NaN (the run stops before they reach the
# weights) and checkpoints of other models (they are refused).
_base_ = 'mmpose::_base_/default_runtime.py'

# mmpose's own tools import this package as they read the config, before mmpose. custom_imports of another config
# replace these, so they name this package too.
custom_imports = dict(imports=['mmpose_mspn'], allow_failed_imports=False)

default_hooks = dict(checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ResumableDataHook'),
    dict(type='mmpose_mspn.TransferKeypointsHook'),
    dict(type='mmpose_mspn.NonFiniteLossHook'),
    dict(type='mmpose_mspn.CheckpointFitHook'),
]
