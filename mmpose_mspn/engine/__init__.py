"""What training needs beyond mmengine."""
from .accelerated_test import AcceleratedTestHook
from .amp import CPUAmpOptimWrapper
from .atomic_checkpoint import AtomicCheckpointHook
from .channels_last import ChannelsLastHook
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .mpii_submission import MpiiSubmission
from .non_finite_loss import NonFiniteLossError, NonFiniteLossHook
from .resumable_data import ResumableDataHook
from .return_memory import ReturnMemoryHook, return_memory

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel',
    'ChannelsLastHook', 'MpiiSubmission', 'NonFiniteLossError', 'NonFiniteLossHook', 'ResumableDataHook',
    'ReturnMemoryHook', 'end_launch', 'prepare_launch', 'return_memory'
]
