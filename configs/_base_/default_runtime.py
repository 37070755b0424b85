# mmpose's runtime, on which a run survives what happens to runs: a crash, an interruption, a loss that turns NaN.
_base_ = 'mmpose::_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmpose_mspn.ResumableDataHook'),
    dict(type='mmpose_mspn.NonFiniteLossHook'),
]
