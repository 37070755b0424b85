"""Hooks: checkpoints, exact resuming, non-finite losses, memory layout and freed memory, accelerated tests."""
from .accelerated_test_hook import AcceleratedTestHook, ExportedTestHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .carry_keypoints_hook import CarryKeypointsHook
from .channels_last_hook import ChannelsLastHook
from .checkpoint_fit_hook import CheckpointFitHook
from .freed_memory_hook import FreedMemoryHook
from .gradient_compression_hook import GradientCompressionHook
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .resumable_data_hook import ResumableDataHook

__all__ = [
    'AcceleratedTestHook', 'AtomicCheckpointHook', 'CarryKeypointsHook', 'ChannelsLastHook', 'CheckpointFitHook',
    'ExportedTestHook', 'FreedMemoryHook', 'GradientCompressionHook',
    'NonFiniteLossError', 'NonFiniteLossHook', 'ResumableDataHook'
]
