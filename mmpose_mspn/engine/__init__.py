"""What training needs beyond mmengine."""
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .hooks import (
    AcceleratedTestHook,
    AtomicCheckpointHook,
    ChannelsLastHook,
    FreedMemoryHook,
    NonFiniteLossError,
    NonFiniteLossHook,
    ResumableDataHook,
)
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel',
    'ChannelsLastHook', 'FreedMemoryHook', 'NonFiniteLossError', 'NonFiniteLossHook', 'ResumableDataHook',
    'end_launch', 'prepare_launch'
]
