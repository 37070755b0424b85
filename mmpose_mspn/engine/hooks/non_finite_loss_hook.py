"""A training ends before a loss that is NaN or infinite reaches the weights."""
from functools import partial
from typing import Callable, Optional

import torch
from mmengine.dist import get_comm_device, is_distributed
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, distributed

from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.arguments import refuse_unknown_arguments
from mmpose_mspn.utils.errors import ConfigError, UserError


class NonFiniteLossError(UserError, RuntimeError):
    """The training loss is NaN or infinite."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Ends a training whose loss is NaN or infinite in any process, before the optimizer's step.

    The error names the iteration, the learning rate and the samples. Neither the weights nor a checkpoint hold anything
    of such a loss.

    Args:
        action: Only ``'stop'``, which older configs write out.

    Raises:
        ConfigError: Another ``action``, or the run has several optimizers.
        NonFiniteLossError: During the training; see above.
    """

    @refuse_unknown_arguments()
    def __init__(self, action: str = 'stop') -> None:
        if action != 'stop':
            raise ConfigError(f"NonFiniteLossHook has the action 'stop' alone, got {action!r}: remove action from the "
                              'config, and resume after the error')
        self._batch: object = None

    def before_train(self, runner: Runner) -> None:
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise ConfigError(f'NonFiniteLossHook needs one optim_wrapper, got {type(wrapper).__name__}: remove the '
                              'hook from custom_hooks')
        # Of this object alone: whatever its class does with a loss, it calls its backward pass before its step.
        wrapper.backward = partial(self._backward, runner, partial(type(wrapper).backward, wrapper))

    def after_train(self, runner: Runner) -> None:
        vars(runner.optim_wrapper).pop('backward', None)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        self._batch = data_batch

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                         outputs: Optional[dict] = None) -> None:
        self._batch = None

    def _backward(self, runner: Runner, backward: Callable, loss: Tensor, **kwargs) -> None:
        """Compare the losses of all processes while the backward pass runs, and read the result after it."""
        finite, exchange, copied = torch.isfinite(loss.detach()).all().int(), None, None
        if is_distributed():
            finite = finite.to(get_comm_device())
            exchange = distributed.all_reduce(finite, distributed.ReduceOp.MIN, async_op=True)
        if finite.is_cuda:  # the host waits for this copy, and not for the backward pass behind it
            if exchange is not None:
                exchange.wait()  # the device waits, the host does not
            finite = finite.to('cpu', non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        # With a loss that is not finite too: DistributedDataParallel expects a backward pass after each forward pass.
        backward(loss, **kwargs)
        if copied is not None:
            copied.synchronize()
        elif exchange is not None:
            exchange.wait()
        if not finite:
            raise NonFiniteLossError(self._message(runner, loss))

    def _message(self, runner: Runner, loss: Tensor) -> str:
        value = 'not finite in another process'
        if not torch.isfinite(loss).all():
            samples = self._batch.get('data_samples') if isinstance(self._batch, dict) else None
            names = [f'(img_id {sample.metainfo.get("img_id")}, id {sample.metainfo.get("id")})'
                     for sample in samples or ()]
            value = f'{loss.item()} of the samples {", ".join(names) or "(unknown: no data_samples)"}'
        rates = ', '.join(f'{rate[0]:g}' for name, rate in runner.optim_wrapper.get_lr().items() if name.endswith('lr'))
        last = runner.message_hub.runtime_info.get('last_ckpt', 'none yet')
        return (f'iteration {runner.iter + 1}: the loss is {value}; learning rate {rates}. The weights were not '
                'changed by it. Look at these samples, or lower the learning rate, and resume; last checkpoint: '
                f'{last}')
