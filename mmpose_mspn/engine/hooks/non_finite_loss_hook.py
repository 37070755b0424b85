"""A loss that is no number ends the run, or its step, before it reaches the weights."""
from typing import List, Optional, Tuple

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from mmpose_mspn.registry import HOOKS

COUNT = 'train/skipped_steps'


class NonFiniteLossError(RuntimeError):
    """The training loss turned NaN or infinite."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Looks at each loss between its backward pass and the optimizer's step, for any optimizer wrapper.

    The weights, and so the checkpoints, never see a loss that is NaN or infinite in any process. The answer of the
    device is asked for before the backward pass and read behind it, which hides the wait.

    Args:
        action: ``'stop'``: the run ends with the iteration, the learning rate and the samples. ``'skip'``: they are
            logged, the step (with accumulation: the whole of it) is left out, the norms' statistics are put back and
            ``skipped_steps`` in the log counts it.
        patience: With ``'skip'``, the run ends at so many skipped iterations in a row, >= 1.

    Raises:
        ValueError: A bad argument, or the run has several optimizers.
        NonFiniteLossError: See ``action``.
    """

    priority = 'NORMAL'

    def __init__(self, action: str = 'stop', patience: int = 10) -> None:
        if action not in ('stop', 'skip'):
            raise ValueError(f"action must be 'stop' or 'skip', got {action!r}")
        if patience < 1:
            raise ValueError(f'patience must be >= 1, got {patience}')
        self.action, self.patience = action, patience
        self._skipped = self._in_a_row = 0
        self._spoiled = False
        self._batch: object = None
        self._statistics: Optional[Tensor] = None

    def before_train(self, runner: Runner) -> None:
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise ValueError(f'NonFiniteLossHook needs one optim_wrapper, got {type(wrapper).__name__}')
        if COUNT in runner.message_hub.log_scalars:  # resumed
            self._skipped = int(runner.message_hub.get_scalar(COUNT).current())
        backward, step = wrapper.backward, wrapper.step

        def checked_backward(loss: Tensor, **kwargs) -> None:
            finite = _Answer(all_finite(loss))
            backward(loss, **kwargs)
            self._in_a_row = 0 if finite.read() else self._in_a_row + 1
            if self._in_a_row:
                self._refuse(runner, loss)

        def checked_step(**kwargs) -> None:
            spoiled, self._spoiled = self._spoiled, False
            if not spoiled:
                step(**kwargs)

        wrapper.backward, wrapper.step = checked_backward, checked_step

    def after_train(self, runner: Runner) -> None:
        del runner.optim_wrapper.backward, runner.optim_wrapper.step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        self._batch = data_batch
        if self.action == 'skip':
            self._statistics = torch.cat([buffer.flatten() for buffer in _statistics(runner)] or [torch.empty(0)])

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                         outputs: Optional[dict] = None) -> None:
        self._batch = None
        if self.action == 'skip':
            runner.message_hub.update_scalar(COUNT, self._skipped)

    def _refuse(self, runner: Runner, loss: Tensor) -> None:
        rates = ', '.join(f'{rate[0]:g}' for name, rate in runner.optim_wrapper.get_lr().items() if name.endswith('lr'))
        own = 'not finite in another process'
        if not torch.isfinite(loss).all():
            own = f'{loss.item()} of the samples {_names(self._batch)}'
        what = f'iteration {runner.iter + 1}: the loss is {own}; learning rate {rates}'
        if self.action == 'skip':
            self._put_back(runner)
        if self.action == 'stop' or self._in_a_row >= self.patience:
            last = runner.message_hub.runtime_info.get('last_ckpt', 'none yet')
            often = f', {self._in_a_row} times in a row' if self._in_a_row > 1 else ''
            raise NonFiniteLossError(f'{what}{often}. The weights were not changed by it. Look at these samples, or '
                                     f'lower the learning rate, and resume; last checkpoint: {last}')
        self._spoiled = True
        self._skipped += 1
        runner.logger.warning(f'{what}. Skipped, {self._skipped} so far')

    def _put_back(self, runner: Runner) -> None:
        start = 0
        for buffer in _statistics(runner):
            buffer.copy_(self._statistics[start:start + buffer.numel()].view_as(buffer))
            start += buffer.numel()


class _Answer:
    """A yes or no that a device computes, fetched while it goes on."""

    def __init__(self, flag: Tensor) -> None:
        self._ready = None
        if flag.is_cuda:
            self._flag = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
            self._flag.copy_(flag, non_blocking=True)
            self._ready = torch.cuda.Event()
            self._ready.record()
        else:
            self._flag = flag

    def read(self) -> bool:
        if self._ready is not None:
            self._ready.synchronize()
        return bool(self._flag)


def all_finite(loss: Tensor) -> Tensor:
    """Whether the losses of all processes are finite, 1 or 0, on the device."""
    finite = torch.isfinite(loss.detach()).all().int()
    all_reduce(finite, 'min')
    return finite


def _statistics(runner: Runner) -> List[Tensor]:
    """Buffers that a forward pass may spoil; counters are none."""
    return [buffer for buffer in runner.model.buffers() if buffer.dtype == torch.float32]


def _names(batch: object) -> str:
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    found: List[Tuple] = [(sample.metainfo.get('img_id'), sample.metainfo.get('id')) for sample in samples or ()]
    return ', '.join(f'(img_id {image}, id {person})' for image, person in found) or '(unknown: no data_samples)'
