"""Gradients that travel between processes in half of their bytes."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from mmpose_mspn.registry import HOOKS

KINDS = dict(bfloat16=default_hooks.bf16_compress_hook, float16=default_hooks.fp16_compress_hook)


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
        ValueError: ``dtype`` is another type or cannot be used here, or the model is wrapped by something else than
            ``DistributedDataParallel``.
    """

    def __init__(self, dtype: str = 'bfloat16') -> None:
        if dtype not in KINDS:
            raise ValueError(f'dtype must be one of {", ".join(KINDS)}, got {dtype!r}')
        self.dtype = dtype

    def before_train(self, runner: Runner) -> None:
        if not is_model_wrapper(runner.model):
            return
        if not isinstance(runner.model, DistributedDataParallel):
            raise ValueError('GradientCompressionHook needs DistributedDataParallel, got model_wrapper_cfg.type '
                             f'{type(runner.model).__name__}')
        backend = distributed.get_backend()
        if self.dtype == 'bfloat16' and backend != 'nccl':  # a CUDA build of torch would fail in the backward pass
            raise ValueError(f'GradientCompressionHook cannot use bfloat16 here (the backend is {backend}, not nccl): '
                             "use dtype='float16'")
        try:
            runner.model.register_comm_hook(distributed.group.WORLD, KINDS[self.dtype])
        except TypeError as error:
            raise ValueError(f'GradientCompressionHook cannot use bfloat16 here ({error}): use dtype=\'float16\''
                             ) from error
