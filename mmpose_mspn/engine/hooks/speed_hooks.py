"""Hooks for the time and memory of a training: the layout of weights, freed memory, gradients in 16 bits."""
import ctypes
from typing import Dict

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from mmpose_mspn.engine.training_state import lay_out_like_parameters
from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import ConfigError

# glibc's numbers of the options (malloc.h), and its default value of the last one.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MMAPS = 2**16
LARGE = 2**20
"""Size in bytes from which a tensor gets a memory block of its own, which is returned when the tensor is freed."""

KEEP = {TRIM_THRESHOLD: -1, MMAP_MAX: 0}
RETURN = {TRIM_THRESHOLD: 2 * LARGE, MMAP_THRESHOLD: LARGE, MMAP_MAX: MMAPS}

COMPRESSIONS = dict(bfloat16=default_hooks.bf16_compress_hook, float16=default_hooks.fp16_compress_hook)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays out the weights channels last before the first step, the layout in which CPUs and tensor cores convolve
    faster.

    Activations take the layout of the weights. Results differ by rounding only. The layout changes after the weights
    have been initialized or loaded, because random values are drawn in the order of the memory: in another layout the
    same seed would give other weights.
    """

    priority = 'ABOVE_NORMAL'  # before the hooks that take the model or the optimizer

    def before_train(self, runner: Runner) -> None:
        model, wrapped = runner.model, is_model_wrapper(runner.model)
        if wrapped:
            model = model.module
        _lay_out(model)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            lay_out_like_parameters(runner.optim_wrapper.optimizer)
        if wrapped:
            # DistributedDataParallel records the layout of the gradients when it wraps the model. With the old record,
            # the gradients of the first step would have their elements in the wrong order.
            runner.model = None
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
            if runner.cfg.get('compile'):
                runner._maybe_compile('train_step')  # of the new wrapper

    def before_val(self, runner: Runner) -> None:
        _lay_out(runner.model)

    def before_test(self, runner: Runner) -> None:
        _lay_out(runner.model)


def _lay_out(model: nn.Module) -> None:
    model.to(memory_format=torch.channels_last)


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


@HOOKS.register_module()
class GradientCompressionHook(Hook):
    """Lets the processes of a distributed training exchange gradients in 16 bits, with torch's own hooks.

    It is of use where the exchange is slower than the backward pass, such as between machines without a fast network: a
    step of the 4-stage model exchanges half a gigabyte in float32. Gradients are rounded to the type's precision. A
    training in one process is left as it is.

    Args:
        dtype: ``'bfloat16'`` has the range of float32 and 8 bits of precision, and needs GPUs with NCCL; ``'float16'``
            has 11 bits, and gradients above 65504 become infinite.

    Raises:
        ConfigError: ``dtype`` is another type or cannot be used here, or the model is wrapped by something else than
            ``DistributedDataParallel``.
    """

    def __init__(self, dtype: str = 'bfloat16') -> None:
        if dtype not in COMPRESSIONS:
            raise ConfigError(f'dtype must be one of {", ".join(COMPRESSIONS)}, got {dtype!r}')
        self.dtype = dtype

    def before_train(self, runner: Runner) -> None:
        if not is_model_wrapper(runner.model):
            return
        if not isinstance(runner.model, DistributedDataParallel):
            raise ConfigError('GradientCompressionHook needs DistributedDataParallel, got model_wrapper_cfg.type '
                             f'{type(runner.model).__name__}')
        backend = distributed.get_backend()
        if self.dtype == 'bfloat16' and backend != 'nccl':  # a CUDA build of torch would fail in the backward pass
            raise ConfigError(f'GradientCompressionHook cannot use bfloat16 here (the backend is {backend}, not nccl): '
                             "use dtype='float16'")
        try:
            runner.model.register_comm_hook(distributed.group.WORLD, COMPRESSIONS[self.dtype])
        except TypeError as error:
            raise ConfigError(f'GradientCompressionHook cannot use bfloat16 here ({error}): use dtype=\'float16\''
                             ) from error
