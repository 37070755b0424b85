"""A checkpoint or an exported model as an object that answers with keypoints."""
from functools import partial
from pathlib import Path
from typing import Mapping, Optional, Union

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.checkpoints.embedded_config import embedded_config
from mmpose_mspn.checkpoints.files import read_checkpoint, weights_of
from mmpose_mspn.deploy.accelerate import DTYPES, named_dtype

from .config import load_config
from .drawing import Drawer
from .loading import choose_device, load_pose_model
from .named_configs import ask_for_config
from .pose_model import PoseModel, TorchPoseModel

ONNX = '.onnx'


def load(checkpoint: Union[str, Path],
         config: Union[str, Path, Config, None] = None,
         device: Optional[str] = None,
         dtype: Union[torch.dtype, str, None] = None,
         fast: bool = True) -> PoseModel:
    """Load a model that predicts keypoints: ``load('iter_96000.pth').predict('people.jpg').keypoints``.

    No code from the file is run: weights are read as weights, and the config that a checkpoint carries is read as plain
    data.

    Args:
        checkpoint: Checkpoint of this package, of mmpose or of the official code, or an ``.onnx`` file of
            ``mmpose_mspn.export``.
        config: Config of the model: a file, the name of one of the package's configs, or a loaded config. The default
            is the config that the checkpoint carries, as those of trainings and published ones do.
        device: Device of torch. The default is the first GPU if there is one and the CPU otherwise.
        dtype: ``torch.bfloat16`` or ``torch.float16``, or their names, makes predictions faster and moves keypoints by
            fractions of a pixel; ``None`` is float32. It needs ``fast``.
        fast: Whether to predict with an accelerated copy, see :func:`mmpose_mspn.accelerate`, whose results differ by
            rounding only.

    Raises:
        FileNotFoundError: A file is missing.
        ImportError: The file is an ``.onnx`` file and no runtime is installed.
        ValueError: The checkpoint carries no config and none is given, does not fit the config, or an argument is
            wrong. The message says what to do.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'checkpoint {checkpoint} does not exist: name a file that does')
    if Path(checkpoint).suffix.lower() == ONNX:
        return _exported(checkpoint, dict(config=config, device=device, dtype=dtype))
    dtype = _dtype(dtype)
    if dtype is not None and not fast:
        raise ValueError(f'dtype {dtype} needs the accelerated copy of the model: keep fast=True, or omit dtype')
    device = choose_device(device)
    content = read_checkpoint(checkpoint)
    own = config is None
    config = find_config(content, checkpoint) if own else _given(config)
    model = TorchPoseModel(*load_parts(config, checkpoint, device, content), fast=fast, dtype=dtype,
                           reload=partial(load_pose_model, config, checkpoint, device))
    print_log(f'{checkpoint}: {model}, config {"from the checkpoint" if own else "as given"}', 'current')
    return model


def load_parts(config: Config, checkpoint: Union[str, Path], device: str, content: Optional[Mapping] = None) -> tuple:
    """The pose estimator with its weights, and what draws its results.

    Args:
        config: The config.
        checkpoint: File of the weights.
        device: Device of torch.
        content: Content of the file, if it has been read already.

    Raises:
        ValueError: The checkpoint does not fit the config.
    """
    model = load_pose_model(config, checkpoint, device, content)
    return model, Drawer(model.dataset_meta, config.get('visualizer'))


def find_config(content: Mapping, checkpoint: Union[str, Path]) -> Config:
    """The config that a checkpoint carries.

    Args:
        content: Content of the file.
        checkpoint: Its name.

    Raises:
        CheckpointError: It carries none that is safe to use.
    """
    weights = weights_of(content, checkpoint)
    found = embedded_config(content, checkpoint)
    if found is None:
        raise ValueError(ask_for_config(checkpoint, weights))
    return Config(found)


def _given(config: Union[str, Path, Config]) -> Config:
    return config if isinstance(config, Config) else load_config(str(config))


def _dtype(dtype: Union[torch.dtype, str, None]) -> Optional[torch.dtype]:
    if isinstance(dtype, str):
        return named_dtype(dtype)
    if dtype is torch.float32 or dtype is None:
        return None
    if dtype not in DTYPES.values():
        raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype}')
    return dtype


def _exported(path: Union[str, Path], options: dict) -> PoseModel:
    """The model of an ``.onnx`` file.

    Raises:
        ValueError: An option is given that applies to checkpoints only.
    """
    given = {name: value for name, value in options.items() if value is not None and (name, value) != ('device', 'cpu')}
    if given:
        name, value = next(iter(given.items()))
        raise ValueError(f'{name} is fixed in an exported model, got {name}={value} for {path}: omit {name}')
    from .onnx_pose_model import OnnxPoseModel
    return OnnxPoseModel(path)
