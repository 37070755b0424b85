"""What training needs beyond mmengine."""
from .accelerated_test import AcceleratedTestHook
from .amp import CPUAmpOptimWrapper
from .atomic_checkpoint import AtomicCheckpointHook
from .channels_last import ChannelsLastHook
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .freed_memory import FreedMemoryHook
from .mpii_submission import MpiiSubmission
from .non_finite_loss import NonFiniteLossError, NonFiniteLossHook
from .resumable_data import ResumableDataHook

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel',
    'ChannelsLastHook', 'FreedMemoryHook', 'MpiiSubmission', 'NonFiniteLossError', 'NonFiniteLossHook',
    'ResumableDataHook', 'end_launch', 'prepare_launch'
]
