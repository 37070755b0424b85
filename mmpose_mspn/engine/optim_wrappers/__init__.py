"""Optimizer wrappers: mixed precision on the CPU, and the guard against losses that are NaN or infinite."""
from .cpu_amp import CPUAmpOptimWrapper
from .guarded import GuardedOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'GuardedOptimWrapper']
