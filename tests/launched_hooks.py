"""Hooks for runs that tests start as separate processes. The configs of these runs import this module."""
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
    """Keeps batch norms in eval mode, so that a step does not depend on how the batch is split."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        for module in runner.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


@HOOKS.register_module()
class Fault(Hook):
    """Injects a fault into one process in one iteration.

    Args:
        what: ``'raise'`` raises an error, ``'kill'`` sends SIGKILL, ``'nan'`` turns the crops into NaN.
        iteration: Number of the iteration, from 1.
        rank: Rank of the process.
    """

    priority = 'LOWEST'

    def __init__(self, what: str, iteration: int, rank: int = 0) -> None:
        self.what, self.iteration, self.rank = what, iteration, rank
        self._handle = None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 != self.iteration or get_rank() != self.rank:
            return
        if self.what == 'raise':
            raise RuntimeError('an injected error')
        if self.what == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handle = model.backbone.register_forward_pre_hook(lambda module, inputs: (inputs[0] * float('nan'), ))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self._handle is not None:
            self._handle.remove()


@HOOKS.register_module()
class ReportWhatIsLeft(Hook):
    """Prints when the process exits whether the process group and the wrapped model still exist."""

    def before_run(self, runner) -> None:
        atexit.register(self._report)

    @staticmethod
    def _report() -> None:
        wrapped = any(isinstance(item, DistributedDataParallel) for item in gc.get_objects())
        print(f'left: group {distributed.is_initialized()}, model {wrapped}', flush=True)
