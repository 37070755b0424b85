"""Bilinear resizing as in the official network."""
from typing import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """``maps`` (B, C, H', W'), resized bilinearly to ``size`` (H, W), with aligned corners."""
    if tuple(maps.shape[2:]) == tuple(size):  # resizing would not change any value
        return maps
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=True)
