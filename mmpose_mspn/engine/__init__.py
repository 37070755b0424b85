"""Hooks, optimizer wrappers and distributed launches that mmengine does not have."""
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .hooks import (
    AcceleratedTestHook,
    AtomicCheckpointHook,
    CarryKeypointsHook,
    ChannelsLastHook,
    CheckpointFitHook,
    FreedMemoryHook,
    GradientCompressionHook,
    NonFiniteLossError,
    NonFiniteLossHook,
    ResumableDataHook,
)
from .optim_wrappers import CPUAmpOptimWrapper, GuardedOptimWrapper

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel',
    'CarryKeypointsHook', 'ChannelsLastHook', 'CheckpointFitHook', 'FreedMemoryHook', 'GradientCompressionHook',
    'GuardedOptimWrapper',
    'NonFiniteLossError',
    'NonFiniteLossHook', 'ResumableDataHook', 'end_launch', 'prepare_launch'
]
