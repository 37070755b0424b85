"""Testing with an accelerated copy of the model."""
from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmpose_mspn.deploy.accelerate import accelerate, named_dtype
from mmpose_mspn.registry import HOOKS


@HOOKS.register_module()
class AcceleratedTestHook(Hook):
    """Tests :func:`mmpose_mspn.accelerate`'s copy of the model, and puts the model back after the test.

    The copy is made before the test because the checkpoint must be loaded first.

    Args:
        dtype: Type in which the copy predicts: ``'float32'``, with the same predictions, or ``'bfloat16'`` or
            ``'float16'``, which move keypoints by fractions of a pixel.

    Raises:
        ValueError: ``dtype`` is another type.
    """

    def __init__(self, dtype: str = 'float32') -> None:
        self.dtype = named_dtype(dtype)
        self._model: Optional[nn.Module] = None

    def before_test(self, runner: Runner) -> None:
        self._model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        _set_model(runner, accelerate(self._model, self.dtype))

    def after_test(self, runner: Runner) -> None:
        _set_model(runner, self._model)
        self._model = None


def _set_model(runner: Runner, model: nn.Module) -> None:
    """Make it the runner's model; of several processes, the one inside the wrapper."""
    if is_model_wrapper(runner.model):
        runner.model.module = model
    else:
        runner.model = model
