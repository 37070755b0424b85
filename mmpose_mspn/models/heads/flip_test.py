"""The flip test: the mean of a crop's heatmaps and those of the mirrored crop (docs/protocol.md, "Test protocol")."""
from functools import lru_cache
from typing import Sequence, Tuple

import torch
from mmpose.models.utils.tta import flip_heatmaps
from torch import Tensor


def flip_test_mean(heatmaps: Tensor,
                   mirrored_heatmaps: Tensor,
                   flip_indices: Sequence[int],
                   flip_mode: str = 'heatmap',
                   shift_heatmap: bool = False) -> Tensor:
    """The heatmaps that the flip test decodes, (B, K, H, W).

    Args:
        heatmaps: (B, K, H, W) of the crops.
        mirrored_heatmaps: (B, K, H, W) of the mirrored crops; they are mirrored back first.
        flip_indices: For each of the K keypoints, the one that takes its place in a mirrored crop.
        flip_mode: See mmpose's ``flip_heatmaps``.
        shift_heatmap: Whether the heatmaps that are mirrored back move by one cell, which the official code does not
            do.
    """
    if flip_mode == 'heatmap':
        # On a GPU, a list as an index makes the host wait.
        order = _index(tuple(flip_indices), mirrored_heatmaps.device)
        mirrored_heatmaps, flip_indices = mirrored_heatmaps.index_select(1, order), None
    flipped_back = flip_heatmaps(
        mirrored_heatmaps, flip_mode=flip_mode, flip_indices=flip_indices, shift_heatmap=shift_heatmap)
    return (heatmaps + flipped_back) * 0.5


@lru_cache(maxsize=64)
def _index(indices: Tuple[int, ...], device: torch.device) -> Tensor:
    """The indices (K,) on ``device``."""
    return torch.tensor(indices, device=device)
