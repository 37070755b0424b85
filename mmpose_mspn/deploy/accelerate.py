"""Copies of models that predict the same in less time."""
import copy
from typing import Optional

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model.utils import revert_sync_batchnorm
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from mmpose_mspn.deploy.accelerated_pose_estimator import AcceleratedPoseEstimator
from mmpose_mspn.deploy.backends import accelerate_by
from mmpose_mspn.deploy.packed import can_pack, pack
from mmpose_mspn.models.pose_estimators.topdown import first_stages
from mmpose_mspn.utils.errors import ConfigError

DTYPES = {'float32': None, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
"""The types that ``accelerate`` takes, by the names that options use."""


def named_dtype(name: str, option: str = 'dtype') -> Optional[torch.dtype]:
    """The type that ``accelerate`` takes for a name of :data:`DTYPES`.

    Args:
        name: The name.
        option: What the error message calls the name: the option that gave it.

    Raises:
        ConfigError: There is no such name.
    """
    if name not in DTYPES:
        raise ConfigError(f'{option} must be one of {", ".join(DTYPES)}, got {name!r}')
    return DTYPES[name]


def accelerate(model: nn.Module,
               dtype: Optional[torch.dtype] = None,
               stages: Optional[int] = None,
               backend: Optional[str] = None,
               precision: str = 'fp32',
               calibration: Optional[Tensor] = None) -> AcceleratedPoseEstimator:
    """A copy of a pose estimator that predicts the same in less time.

    Normalization layers are folded into the convolutions before them, and the weights are laid out channels last, in
    which CPUs and tensor cores convolve faster. On a CPU, convolutions are also packed together with the addition and
    the ReLU after them (``packed.py``), and a batch is divided into pieces that fit the caches. On a GPU the weights of
    backbones and necks are stored in ``dtype``, and heads stay in float32.

    Args:
        model: Any pose estimator, on the device where the copy will predict. It is left as it is.
        dtype: ``torch.bfloat16`` or ``torch.float16`` makes ``predict`` compute in that type, which moves keypoints by
            fractions of a pixel; ``None`` keeps float32.
        stages: Copy only the first stages of an MSPN, 1 ... S; the default is ``stages`` of the model's ``test_cfg``,
            or else all.
        backend: ``'onnxruntime'`` or ``'openvino'`` runs the network and the decode in place of PyTorch, on a CPU; see
            :func:`mmpose_mspn.deploy.backends.accelerate_by`.
        precision: With ``backend``, in place of ``dtype``: ``'fp32'``, ``'int8'`` or, of OpenVINO, ``'bf16'``.
        calibration: Of int8: crops (N, 3, h, w), uint8, as the test pipeline packs them, N >= 16.

    Raises:
        MissingPackageError: The packages of ``backend`` are not installed.
        ConfigError: ``dtype`` is another type, the model does not have that many ``stages``, or it is such a copy
            already.
    """
    if dtype not in DTYPES.values():
        raise ConfigError(f'dtype must be None, torch.bfloat16 or torch.float16, got {dtype}')
    if isinstance(model, AcceleratedPoseEstimator):
        raise ConfigError('model is an accelerated copy already: accelerate the model that it was made from')
    if backend is not None:
        if dtype is not None:
            raise ConfigError(f'dtype {dtype} is for PyTorch: with backend {backend!r} write precision')
        return accelerate_by(model, backend, precision, calibration, stages)
    if precision != 'fp32' or calibration is not None:
        raise ConfigError(f"precision and calibration need a backend, 'onnxruntime' or 'openvino', got "
                          f'precision={precision!r}: name one, or write dtype')
    if stages is None:
        stages = (model.test_cfg or {}).get('stages')
    if stages is not None:
        model = first_stages(model, stages)
    estimator = revert_sync_batchnorm(copy.deepcopy(model))
    estimator = fuse_conv_bn(estimator.eval()).to(memory_format=torch.channels_last)
    estimator.eval()  # also what stands for the norms
    estimator.requires_grad_(False)
    device = next(estimator.parameters()).device
    if can_pack(device, dtype):
        pack(estimator, dtype)
    stores_weights = dtype is not None and device.type != 'cpu'
    if stores_weights:
        _store_weights(estimator, dtype)
    return AcceleratedPoseEstimator(estimator, dtype, autocast=not stores_weights)


def _store_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of all backbones and necks, in place, once; autocast would convert them for every batch.

    Heads stay in float32: with the few bits of a lower precision, several cells around a maximum would have the same
    value.
    """
    for module in model.modules():
        if isinstance(module, BaseHead):
            for part in module.modules():
                if next(part.parameters(recurse=False), None) is not None:
                    part.register_forward_pre_hook(_as_weights)
        elif isinstance(module, BasePoseEstimator):
            for name in ('backbone', 'neck'):
                part = getattr(module, name, None)
                if part is not None:
                    part.to(dtype).register_forward_pre_hook(_as_weights)


def _as_weights(module: nn.Module, inputs: tuple) -> tuple:
    """The inputs of a module in the type of its weights."""
    dtype = next(module.parameters()).dtype
    return tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
