"""Inference-ready copies of models: the same ``predict``, less time."""
import copy
from typing import Optional

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model.utils import revert_sync_batchnorm
from torch import nn

from mmpose_mspn.deploy.packed import can_pack, pack

DTYPES = {'float32': None, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
"""What ``accelerate`` takes, by the names that options use."""
CACHED = 4 * 256 * 192 * 4
"""Bytes of a color of the crops that pass a CPU's caches best together: four crops of 256×192 in float32."""


def named_dtype(name: str, option: str = 'dtype') -> Optional[torch.dtype]:
    """What ``accelerate`` takes for a name.

    Raises:
        ValueError: There is no such name; the message calls it by the ``option`` that gave it.
    """
    if name not in DTYPES:
        raise ValueError(f'{option} must be one of {", ".join(DTYPES)}, got {name!r}')
    return DTYPES[name]


def accelerate(model: nn.Module, dtype: Optional[torch.dtype] = None) -> nn.Module:
    """A copy of a pose estimator that predicts the same in less time.

    Norms are folded into the convolutions before them and the weights are laid out channels last, in which CPUs and
    tensor cores convolve faster. On a CPU, convolutions are also packed with the addition and the ReLU behind them
    (``packed.py``), and a batch passes in pieces that fit the caches. The copy is in eval mode and cannot be trained.

    Args:
        model: Any pose estimator; it stays as it is.
        dtype: ``torch.bfloat16`` or ``torch.float16`` runs ``predict`` in that type, which moves keypoints by
            fractions of a pixel; ``None`` keeps float32.

    Raises:
        ValueError: ``dtype`` is another type.
    """
    if dtype not in (None, torch.bfloat16, torch.float16):
        raise ValueError(f'dtype must be None, torch.bfloat16 or torch.float16, got {dtype}')
    fast = revert_sync_batchnorm(copy.deepcopy(model))
    fast.eval()
    fast = fuse_conv_bn(fast).to(memory_format=torch.channels_last)
    fast.requires_grad_(False)
    device = next(fast.parameters()).device
    if can_pack(device, dtype):
        pack(fast, dtype)
    if dtype is not None:
        _autocast_predict(fast, dtype)
    if device.type == 'cpu':
        _predict_in_pieces(fast, CACHED // (dtype or torch.float32).itemsize)
    return fast


def _autocast_predict(model: nn.Module, dtype: torch.dtype) -> None:
    predict = model.predict

    def autocast_predict(inputs: torch.Tensor, *args, **kwargs):
        with torch.autocast(inputs.device.type, dtype):
            return predict(inputs, *args, **kwargs)

    model.predict = autocast_predict


def _predict_in_pieces(model: nn.Module, pixels: int) -> None:
    """``pixels`` at a time, those of mirrored crops included."""
    predict = model.predict
    views = 2 if (model.test_cfg or {}).get('flip_test', False) else 1

    def predict_in_pieces(inputs: torch.Tensor, data_samples: list):
        size = max(1, pixels // (inputs.shape[2] * inputs.shape[3] * views))
        found = []
        for start in range(0, len(inputs), size):
            found += predict(inputs[start:start + size], data_samples[start:start + size])
        return found

    model.predict = predict_in_pieces
