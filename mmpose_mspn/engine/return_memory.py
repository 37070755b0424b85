"""Less memory for a training on the CPU, at the price of some time."""
import ctypes

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpose_mspn.registry import HOOKS

MMAP_THRESHOLD = -3
"""glibc's number of the option (malloc.h)."""
LARGE = 2**20
"""Bytes from which on a tensor has memory of its own."""


@HOOKS.register_module()
class ReturnMemoryHook(Hook):
    """Gives the memory of large tensors back to the system as soon as they are freed.

    Otherwise gradients and optimiser states, which stay, lie scattered among a step's activations, and the holes
    between them add a third to the memory of a 4-stage training with ``with_cp``. Asking for memory anew takes time. It
    acts on the whole process, on the CPU's memory alone.
    """

    def before_run(self, runner: Runner) -> None:
        if not return_memory():
            print_log('ReturnMemoryHook does nothing: the C library is not glibc', 'current')


def return_memory() -> bool:
    """Do what :class:`ReturnMemoryHook` says; false where the C library has no such option."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and mallopt(MMAP_THRESHOLD, LARGE) == 1
