"""Online hard keypoint mining (OHKM; "Cascaded Pyramid Network", Chen et al., 2018, section 3.2)."""
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from mmpose_mspn.utils.numbers import NOT_LABELED


def check_ohkm_topk(topk: Optional[int]) -> None:
    """Refuse a number of keypoints that :func:`hard_keypoint_error` cannot keep; ``None`` stands for no mining.

    Raises:
        ValueError: ``topk`` is below 1.
    """
    if topk is not None and topk < 1:
        raise ValueError(f'ohkm_topk must be >= 1, or None for no OHKM, got {topk}')


def hard_keypoint_error(heatmaps: Tensor, target: Tensor, visible: Tensor, topk: int) -> Tensor:
    """Mean squared error of each sample's hardest keypoints, averaged over the batch.

    Args:
        heatmaps: (B, K, H, W).
        target: (B, K, H, W).
        visible: (B, K), 0/1/2. The error of a keypoint that is not labeled (0) counts as zero.
        topk: Number of keypoints kept per sample, those with the largest errors, >= 1; all K where K is smaller.
    """
    per_keypoint = F.mse_loss(heatmaps, target, reduction='none').mean((2, 3)) * (visible > NOT_LABELED)
    return torch.topk(per_keypoint, min(topk, per_keypoint.shape[1]), dim=1, sorted=False).values.mean()
