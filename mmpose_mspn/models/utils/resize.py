"""The resize of the official network: bilinear, aligned at the corners."""
from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, H', W') to ``size`` (H, W). It has no branch, so that a module that calls it can be traced."""
    return F.interpolate(maps, size=size, mode='bilinear', align_corners=True)


def resize_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize`, without the work where the maps have that size already."""
    return maps if tuple(maps.shape[2:]) == tuple(size) else resize(maps, tuple(size))


def resize_heatmaps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize_to` with a faster backward pass on a CPU, for maps (B, K, H', W') that go to a loss.

    The gradient of a loss is contiguous. torch's backward pass of the resize is slow in that layout: with the copy to
    channels last, it takes half the time.
    """
    resized = resize_to(maps, size)
    if resized is not maps and resized.requires_grad and resized.device.type == 'cpu':
        resized.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return resized
