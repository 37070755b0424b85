"""Devices, files and weights, checked before and after mmpose and mmdet load a model."""
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmpose.apis import init_model
from torch import nn

from mmpose_mspn.checkpoints import unpack
from mmpose_mspn.models.pose_estimators.topdown import TopdownPoseEstimator, in_our_layout

SHOWN = 3
"""Weights that an error message names."""


def choose_device(device: Optional[str]) -> str:
    """``device``, or the first GPU where there is one, else the CPU.

    Raises:
        ValueError: torch cannot compute on the device.
    """
    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f'device must be one that torch can use here (cpu, and {torch.cuda.device_count()} CUDA '
                         f'devices counted from cuda:0), got {device!r}: {str(error).splitlines()[0]}') from error
    return device


def check_file(name: str, path: Union[str, Path]) -> None:
    """Raise FileNotFoundError, naming the argument, unless there is such a file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'{name} {path} does not exist: name a file that does')


def load_pose_model(config: Union[str, Path], checkpoint: Union[str, Path], device: str) -> nn.Module:
    """mmpose's ``init_model``, and a check that every weight came from the checkpoint.

    The keypoints' names and skeleton (``model.dataset_meta``) are the checkpoint's, else those of the config's
    training data, else of its test data.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The config says no test pipeline, or the checkpoint is not of this config.
    """
    cfg = Config.fromfile(config)
    if 'test_dataloader' not in cfg:
        raise ValueError(f'config {config} has no test_dataloader, whose dataset\'s pipeline makes the crops: add one')
    if 'train_dataloader' not in cfg:  # the only place where init_model looks for dataset_meta
        cfg.train_dataloader = dict(dataset=cfg.test_dataloader.dataset)
    model = init_model(cfg, str(checkpoint), device=device)
    check_weights(model, checkpoint)
    return model


def check_weights(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Raise ValueError unless the checkpoint has all weights of the model, in its shapes.

    ``init_model`` and ``init_detector`` load what fits and leave the rest random, with no more than a line in the log.
    """
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    any_layout = isinstance(model, TopdownPoseEstimator) and model.reads_layouts
    loaded = in_our_layout(loaded) if any_layout else unpack(loaded)
    shapes = {key: value.shape for key, value in loaded.items() if isinstance(value, torch.Tensor)}
    # A counter that prediction does not read, and that old checkpoints lack.
    wanted = {key: value.shape for key, value in model.state_dict().items()
              if not key.endswith('num_batches_tracked')}
    wrong = [key for key, shape in wanted.items() if shapes.get(key) != shape]
    if wrong:
        raise ValueError(
            f'checkpoint {checkpoint} lacks {len(wrong)} of the model\'s {len(wanted)} weights, or has them in another '
            f'shape ({", ".join(wrong[:SHOWN])}{", …" if len(wrong) > SHOWN else ""}): take the config it was trained '
            'with, or bring it into this layout with tools/convert_checkpoint.py')
