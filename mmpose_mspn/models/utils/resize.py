"""The resize of the official network."""
from typing import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of (B, C, H', W') to ``size`` (H, W), aligned at the corners."""
    if tuple(maps.shape[2:]) == tuple(size):  # resizing would change nothing
        return maps
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=True)
