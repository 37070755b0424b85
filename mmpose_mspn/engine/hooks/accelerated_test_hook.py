"""Testing with an accelerated copy of the model, or with an exported file."""
from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmpose_mspn.deploy.accelerate import DTYPES, accelerate
from mmpose_mspn.deploy.backends import accelerate_by, fastest_backend, load_exported
from mmpose_mspn.deploy.pictures import crops_of, pictures_of_config
from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import ConfigError

INT8 = 'int8'
"""The ``dtype`` with which the fastest backend that is installed computes the test."""
CALIBRATION_PEOPLE = 16
"""A quarter of what an export takes, since here the calibration counts as time of the test."""


class _ReplacedModelHook(Hook):
    """Tests another model in place of the runner's, and puts that back after the test.

    The other one is made before the test because the checkpoint must be loaded first.
    """

    def __init__(self) -> None:
        self._model: Optional[nn.Module] = None

    def make(self, model: nn.Module, runner: Runner) -> nn.Module:
        """The model that is tested in place of ``model``."""
        raise NotImplementedError

    def before_test(self, runner: Runner) -> None:
        self._model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        _set_model(runner, self.make(self._model, runner))

    def after_test(self, runner: Runner) -> None:
        _set_model(runner, self._model)
        self._model = None


@HOOKS.register_module()
class AcceleratedTestHook(_ReplacedModelHook):
    """Tests :func:`mmpose_mspn.accelerate`'s copy of the model.

    Args:
        dtype: Type in which the copy predicts: ``'float32'``, with the same predictions, or ``'bfloat16'``,
            ``'float16'`` or ``'int8'``, which move keypoints by fractions of a pixel. OpenVINO or onnxruntime computes
            ``'int8'``, which people of the training data calibrate.

    Raises:
        ConfigError: ``dtype`` is another type.
    """

    def __init__(self, dtype: str = 'float32') -> None:
        super().__init__()
        if dtype not in (*DTYPES, INT8):
            raise ConfigError(f'dtype must be one of {", ".join((*DTYPES, INT8))}, got {dtype!r}')
        self.is_int8 = dtype == INT8
        self.dtype = DTYPES.get(dtype)

    def make(self, model: nn.Module, runner: Runner) -> nn.Module:
        if not self.is_int8:
            return accelerate(model, self.dtype)
        meta = runner.test_dataloader.dataset.metainfo
        calibration = crops_of(pictures_of_config(runner.cfg, 'train', CALIBRATION_PEOPLE), runner.cfg, meta)
        return accelerate_by(model, fastest_backend(), INT8, calibration, flip_indices=list(meta['flip_indices']))


@HOOKS.register_module()
class ExportedTestHook(_ReplacedModelHook):
    """Tests a file of :func:`mmpose_mspn.export` in place of the model.

    Args:
        path: The ``.onnx`` file, exported with ``input='crops'`` from the same config.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make(self, model: nn.Module, runner: Runner) -> nn.Module:
        return load_exported(self.path, model)


def _set_model(runner: Runner, model: nn.Module) -> None:
    """Make it the runner's model; of several processes, the one inside the wrapper."""
    if is_model_wrapper(runner.model):
        runner.model.module = model
    else:
        runner.model = model
