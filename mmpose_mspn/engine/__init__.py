"""Hooks, an optimizer wrapper and distributed launches that mmengine does not have."""
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .hooks import (
    AcceleratedTestHook,
    AtomicCheckpointHook,
    CarryKeypointsHook,
    ChannelsLastHook,
    CheckpointFitHook,
    ExportedTestHook,
    FreedMemoryHook,
    GradientCompressionHook,
    NonFiniteLossError,
    NonFiniteLossHook,
    ResumableDataHook,
    TransferKeypointsHook,
)
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel',
    'CarryKeypointsHook', 'ChannelsLastHook', 'CheckpointFitHook', 'ExportedTestHook', 'FreedMemoryHook',
    'GradientCompressionHook', 'NonFiniteLossError', 'NonFiniteLossHook', 'ResumableDataHook', 'TransferKeypointsHook',
    'end_launch', 'prepare_launch'
]
