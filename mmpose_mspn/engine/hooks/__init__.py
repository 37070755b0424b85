"""Hooks: checkpoints, exact resuming, non-finite losses, memory layout and freed memory, accelerated tests."""
from .accelerated_test_hook import AcceleratedTestHook, ExportedTestHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .checkpoint_fit_hook import CheckpointFitHook
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .resumable_data_hook import ResumableDataHook
from .speed_hooks import ChannelsLastHook, FreedMemoryHook, GradientCompressionHook
from .transfer_keypoints_hook import CarryKeypointsHook, TransferKeypointsHook

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CarryKeypointsHook', 'ChannelsLastHook', 'CheckpointFitHook',
    'ExportedTestHook', 'FreedMemoryHook', 'GradientCompressionHook', 'NonFiniteLossError', 'NonFiniteLossHook',
    'ResumableDataHook', 'TransferKeypointsHook'
]
