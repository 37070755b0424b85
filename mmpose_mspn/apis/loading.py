"""Devices, files and weights of the models that the tools load."""
import logging
from collections import OrderedDict
from pathlib import Path
from typing import Mapping, Optional, Union

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models.builder import build_pose_estimator
from mmpose.registry import DATASETS
from torch import nn

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.checkpoints.convert import find_state_dict, unpack
from mmpose_mspn.checkpoints.fit import refuse_incomplete_weights
from mmpose_mspn.checkpoints.trained_crops import other_crops

COCO = 'configs/_base_/datasets/coco.py'
"""mmpose's own file, which names COCO's keypoints."""


def choose_device(device: Optional[str]) -> str:
    """Return ``device``, by default the first GPU if there is one and the CPU otherwise.

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


def detector_device(device: str) -> str:
    """Return the device for a detector of mmdet: the CPU where mmcv's operators are not built for GPUs.

    Every detector calls one of them, non-maximum suppression, and would fail at its first image. With
    ``MMCV_CUDA=1 tools/setup_env.sh`` they are built, where an ``nvcc`` fits the installed torch.

    Args:
        device: The device of the pose estimator.
    """
    if torch.device(device).type == 'cpu' or get_compiling_cuda_version() != 'not available':
        return device
    print_log(f'the detector runs on the CPU, and the pose estimator on {device}: mmcv was built without its operators '
              'for GPUs. MMCV_CUDA=1 tools/setup_env.sh builds them', 'current', logging.WARNING)
    return 'cpu'


def check_file(name: str, path: Union[str, Path]) -> None:
    """Check that a file exists.

    Args:
        name: Argument that gave the path, for the message.
        path: The file.

    Raises:
        FileNotFoundError: It does not exist.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{name} {path} does not exist: name a file that does')


def load_pose_model(config: Union[str, Path, Config], checkpoint: Union[str, Path], device: str,
                    content: Optional[Mapping] = None) -> nn.Module:
    """Load a pose estimator as mmpose's ``init_model`` does, and check that every weight comes from the checkpoint.

    The names and the skeleton of the keypoints (``model.dataset_meta``) come from the checkpoint, or else from the
    config's training data, or else from its test data.

    Args:
        config: Config of the model, or its file.
        checkpoint: File of the weights.
        device: Device of torch.
        content: Content of the file, if it has been read already.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The config has no test pipeline, or the checkpoint belongs to another config.
    """
    cfg = config if isinstance(config, Config) else load_config(str(config))
    config = cfg.filename or 'given'
    if 'members' in (cfg.get('model') or {}):
        raise ValueError(f'config {config} is an ensemble, which names its own checkpoints: infer.py takes one model; '
                         'test the ensemble with tools/test.py')
    if not cfg.get('test_dataloader'):
        raise ValueError(f'config {config} has no test_dataloader, whose dataset\'s pipeline makes the crops: add one')
    if content is None:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    model = _build(cfg)
    refuse_incomplete_weights(content, model, checkpoint)
    sizes = other_crops(content, model, checkpoint)
    if sizes is not None:
        print_log(sizes, 'current', logging.WARNING)
    _fill(model, content)
    meta = content.get('meta')
    stored = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    model.dataset_meta = _dataset_meta(cfg) if stored is None else stored
    return model.to(device).eval()


def _build(cfg: Config) -> nn.Module:
    """The config's model as ``init_model`` builds it, without weights."""
    if 'init_cfg' in cfg.model.backbone:
        cfg.model.backbone.init_cfg = None
    cfg.model.train_cfg = None
    init_default_scope(cfg.get('default_scope') or 'mmpose')
    model = revert_sync_batchnorm(build_pose_estimator(cfg.model))
    model.cfg = cfg
    return model


def _dataset_meta(cfg: Config) -> dict:
    """The keypoints of the training data, or else of the test data, or else of COCO."""
    loader = cfg.get('train_dataloader') or cfg.get('test_dataloader') or {}
    dataset = loader.get('dataset') or {}
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return parse_pose_metainfo(dataset.get('metainfo') or getattr(kind, 'METAINFO', None) or dict(from_file=COCO))


def _fill(model: nn.Module, checkpoint: Mapping) -> None:
    """Load weights that fit; the model's hooks rename keys of other layouts and of earlier versions."""
    weights = OrderedDict(unpack(checkpoint))
    weights._metadata = getattr(find_state_dict(checkpoint), '_metadata', {})  # the versions, which hooks read
    model.load_state_dict(weights, strict=False)


def check_weights(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Check that a checkpoint has all weights of a model. It may have more.

    ``init_model`` and ``init_detector`` load the weights that fit, leave the others at random values and only log this.

    Raises:
        ValueError: Weights are missing or not finite, or their shapes are not the model's.
    """
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    refuse_incomplete_weights(loaded, model, checkpoint)
