"""Whether freed memory is kept by the process, which saves time, or returned to the system, which saves memory."""
import ctypes
from typing import Dict

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpose_mspn.registry import HOOKS

# glibc's numbers of the options (malloc.h), and its default value of the last one.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MMAPS = 2**16
LARGE = 2**20
"""Size in bytes from which a tensor gets a memory block of its own, which is returned when the tensor is freed."""

KEEP = {TRIM_THRESHOLD: -1, MMAP_MAX: 0}
RETURN = {TRIM_THRESHOLD: 2 * LARGE, MMAP_THRESHOLD: LARGE, MMAP_MAX: MMAPS}


@HOOKS.register_module()
class FreedMemoryHook(Hook):
    """Sets whether the C library keeps freed memory or returns it, for the whole process and its data workers.

    By default, glibc returns the memory of a step's activations to the system and requests it again in the next step.
    The system then has to provide every page again, which takes up to a fifth of a step (docs/performance.md). Keeping
    the memory saves this time; the process stays as large as it has ever been.

    Returning large tensors at once saves memory: otherwise gradients and optimizer states, which live on, lie scattered
    among a step's activations, and the holes between them add a third to a 4-stage training with ``with_cp``.

    In a training on a GPU this concerns the host's memory only.

    Args:
        keep: Whether freed memory is kept (``True``) or returned (``False``).
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep

    def before_run(self, runner: Runner) -> None:
        if not set_malloc(KEEP if self.keep else RETURN):
            print_log('FreedMemoryHook does nothing: the C library is not glibc', 'current')


def set_malloc(options: Dict[int, int]) -> bool:
    """Set options of glibc's ``malloc``.

    Args:
        options: The values by the options' numbers.

    Returns:
        Whether they are set; false if the C library does not have them.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in options.items())
