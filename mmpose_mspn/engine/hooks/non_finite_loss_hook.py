"""Training ends, or leaves out a step, when the loss is NaN or infinite."""
import logging
from typing import List, NamedTuple, Optional, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from mmpose_mspn.engine.optim_wrappers import GuardedOptimWrapper
from mmpose_mspn.registry import HOOKS

COUNT = 'train/skipped_steps'


class NonFiniteLossError(RuntimeError):
    """The training loss is NaN or infinite."""


class _Iteration(NamedTuple):
    """What a message says about the current iteration, and what its forward pass may have spoiled."""
    number: int
    batch: object
    last_checkpoint: str
    learning_rates: List[float]
    statistics: List[Tensor]
    values_before: Optional[Tensor]


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Keeps losses that are NaN or infinite in any process from the weights, and so from the checkpoints.

    During training, a :class:`mmpose_mspn.engine.GuardedOptimWrapper` takes the place of the run's optimizer wrapper,
    whatever its class, and calls this hook between the backward pass of such a loss and the optimizer's step.

    Args:
        action: ``'stop'``: the run ends with an error that names the iteration, the learning rate and the samples.
            ``'skip'``: a warning names them, the step is left out (with gradient accumulation: the whole step), the
            normalization statistics are restored, and ``skipped_steps`` in the log counts the iteration.
        patience: With ``'skip'``, the run ends after this many skipped iterations in a row, >= 1.

    Raises:
        ValueError: An argument is out of its range, or the run has several optimizers.
        NonFiniteLossError: See ``action`` and ``patience``.
    """

    priority = 'NORMAL'

    def __init__(self, action: str = 'stop', patience: int = 10) -> None:
        if action not in ('stop', 'skip'):
            raise ValueError(f"action must be 'stop' or 'skip', got {action!r}")
        if patience < 1:
            raise ValueError(f'patience must be >= 1, got {patience}')
        self.action, self.patience = action, patience
        self._skipped = 0
        self._iteration: Optional[_Iteration] = None

    def before_train(self, runner: Runner) -> None:
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise ValueError(f'NonFiniteLossHook needs one optim_wrapper, got {type(runner.optim_wrapper).__name__}')
        if COUNT in runner.message_hub.log_scalars:  # of a resumed run
            self._skipped = int(runner.message_hub.get_scalar(COUNT).current())
        self._unguard(runner)  # after an error the last training left its guard
        runner.optim_wrapper = GuardedOptimWrapper(runner.optim_wrapper, self.on_non_finite)

    def after_train(self, runner: Runner) -> None:
        self._unguard(runner)

    @staticmethod
    def _unguard(runner: Runner) -> None:
        if isinstance(runner.optim_wrapper, GuardedOptimWrapper):
            runner.optim_wrapper = runner.optim_wrapper.wrapped

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        statistics = _statistics(runner) if self.action == 'skip' else []
        self._iteration = _Iteration(
            number=runner.iter + 1,
            batch=data_batch,
            last_checkpoint=runner.message_hub.runtime_info.get('last_ckpt', 'none yet'),
            learning_rates=[rate[0] for name, rate in runner.optim_wrapper.get_lr().items() if name.endswith('lr')],
            statistics=statistics,
            values_before=torch.cat([buffer.flatten() for buffer in statistics]) if statistics else None)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                         outputs: Optional[dict] = None) -> None:
        self._iteration = None  # lets go of the batch
        if self.action == 'skip':
            runner.message_hub.update_scalar(COUNT, self._skipped)

    def on_non_finite(self, loss: Tensor, in_a_row: int) -> None:
        """Raise or skip, as ``action`` and ``patience`` say. The guard calls it.

        Args:
            loss: This process's loss, which may be finite if another process's is not.
            in_a_row: Number of iterations in a row with such a loss, this one included.
        """
        what = self._describe(loss)
        self._restore_statistics()
        if self.action == 'stop' or in_a_row >= self.patience:
            often = f', {in_a_row} times in a row' if in_a_row > 1 else ''
            raise NonFiniteLossError(f'{what}{often}. The weights were not changed by it. Look at these samples, or '
                                     'lower the learning rate, and resume; last checkpoint: '
                                     f'{self._iteration.last_checkpoint}')
        self._skipped += 1
        print_log(f'{what}. Skipped, {self._skipped} so far', 'current', logging.WARNING)

    def _describe(self, loss: Tensor) -> str:
        value = 'not finite in another process'
        if not torch.isfinite(loss).all():
            value = f'{loss.item()} of the samples {_names(self._iteration.batch)}'
        rates = ', '.join(f'{rate:g}' for rate in self._iteration.learning_rates)
        return f'iteration {self._iteration.number}: the loss is {value}; learning rate {rates}'

    def _restore_statistics(self) -> None:
        start = 0
        for buffer in self._iteration.statistics:
            buffer.copy_(self._iteration.values_before[start:start + buffer.numel()].view_as(buffer))
            start += buffer.numel()


def _statistics(runner: Runner) -> List[Tensor]:
    """The buffers that a forward pass may fill with NaN; integer counters are not among them."""
    return [buffer for buffer in runner.model.buffers() if buffer.dtype == torch.float32]


def _names(batch: object) -> str:
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    found: List[Tuple] = [(sample.metainfo.get('img_id'), sample.metainfo.get('id')) for sample in samples or ()]
    return ', '.join(f'(img_id {image}, id {person})' for image, person in found) or '(unknown: no data_samples)'
