"""What becomes of the memory that a training on the CPU has freed: kept, to save time, or returned, to save memory."""
import ctypes
from typing import Dict

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpose_mspn.registry import HOOKS

# glibc's numbers of the options (malloc.h) and its own value of the last.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MMAPS = 2**16
LARGE = 2**20
"""Bytes from which on a tensor has memory of its own that is returned."""

KEEP = {TRIM_THRESHOLD: -1, MMAP_MAX: 0}
RETURN = {TRIM_THRESHOLD: 2 * LARGE, MMAP_THRESHOLD: LARGE, MMAP_MAX: MMAPS}


@HOOKS.register_module()
class FreedMemoryHook(Hook):
    """Decides what the C library does with memory that is freed, for the whole process and its data workers.

    glibc gives the activations of a step back to the system and asks for them anew in the next, where every page costs
    the system's time: up to a fifth of a step (docs/performance.md). To keep them saves it, and the process stays as
    large as it ever was.

    To return large tensors at once saves memory: gradients and optimizer states, which stay, otherwise lie scattered
    among a step's activations, and the holes between them add a third to a 4-stage training with ``with_cp``.

    On a GPU it acts on the host's memory alone.

    Args:
        keep: Keep freed memory, or return it.
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep

    def before_run(self, runner: Runner) -> None:
        if not set_malloc(KEEP if self.keep else RETURN):
            print_log('FreedMemoryHook does nothing: the C library is not glibc', 'current')


def set_malloc(options: Dict[int, int]) -> bool:
    """Set options of glibc's ``malloc`` by their numbers; false where the C library has none of them."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in options.items())
