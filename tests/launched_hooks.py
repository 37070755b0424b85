"""Hooks for runs that tests launch as processes of their own: their configs import this module."""
import atexit
import gc
import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpose.registry import HOOKS
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@HOOKS.register_module()
class FrozenNorms(Hook):
    """Batch norms that use their running statistics, so that a step does not depend on how the batch is divided."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        for module in runner.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


@HOOKS.register_module()
class Fault(Hook):
    """Something that happens to one process in an iteration.

    Args:
        what: ``'raise'``: an error; ``'kill'``: SIGKILL; ``'nan'``: crops that are no numbers.
        iteration: In which, from 1.
        rank: To which process.
    """

    priority = 'LOWEST'

    def __init__(self, what: str, iteration: int, rank: int = 0) -> None:
        self.what, self.iteration, self.rank = what, iteration, rank
        self._handle = None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 != self.iteration or get_rank() != self.rank:
            return
        if self.what == 'raise':
            raise RuntimeError('a planted error')
        if self.what == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handle = model.backbone.register_forward_pre_hook(lambda module, inputs: (inputs[0] * float('nan'), ))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self._handle is not None:
            self._handle.remove()


@HOOKS.register_module()
class TellWhatIsLeft(Hook):
    """Says when the process ends whether the process group and the wrapped model are still there."""

    def before_run(self, runner) -> None:
        atexit.register(self._tell)

    @staticmethod
    def _tell() -> None:
        wrapped = any(isinstance(thing, DistributedDataParallel) for thing in gc.get_objects())
        print(f'left: group {distributed.is_initialized()}, model {wrapped}', flush=True)
