"""Hooks, an optimizer wrapper and distributed launches that mmengine does not have."""
from . import hooks
from .distributed import CPUDistributedDataParallel, end_launch, prepare_launch
from .hooks import *  # noqa: F403
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = [*hooks.__all__, 'CPUAmpOptimWrapper', 'CPUDistributedDataParallel', 'end_launch', 'prepare_launch']
