"""The resize of the official network: bilinear, aligned at the corners."""
from typing import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, H', W') to ``size`` (H, W). It has no branch, so that a module that calls it can be traced."""
    return F.interpolate(maps, size=size, mode='bilinear', align_corners=True)


def resize_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize`, without the work where the maps have that size already."""
    return maps if tuple(maps.shape[2:]) == tuple(size) else resize(maps, tuple(size))
