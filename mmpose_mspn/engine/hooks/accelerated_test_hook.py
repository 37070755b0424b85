"""Testing with an accelerated copy of the model."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmpose_mspn.deploy.accelerate import accelerate, named_dtype
from mmpose_mspn.registry import HOOKS


@HOOKS.register_module()
class AcceleratedTestHook(Hook):
    """Lets a test run :func:`mmpose_mspn.accelerate`'s copy of the model; the model itself comes back afterwards.

    Args:
        dtype: ``'float32'``, which predicts the same, or ``'bfloat16'`` or ``'float16'``, which move keypoints by
            fractions of a pixel.

    Raises:
        ValueError: ``dtype`` is another type.
    """

    def __init__(self, dtype: str = 'float32') -> None:
        self.dtype = named_dtype(dtype)
        self._model = None

    def before_test(self, runner: Runner) -> None:
        wrapped = is_model_wrapper(runner.model)
        self._model = runner.model.module if wrapped else runner.model
        self._put(runner, accelerate(self._model, self.dtype))

    def after_test(self, runner: Runner) -> None:
        self._put(runner, self._model)

    @staticmethod
    def _put(runner: Runner, model) -> None:
        if is_model_wrapper(runner.model):
            runner.model.module = model
        else:
            runner.model = model
