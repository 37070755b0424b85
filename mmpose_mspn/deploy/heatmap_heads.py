"""Heads that predict one heatmap for each keypoint, this package's and mmpose's."""
from typing import Any

from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead

HEATMAP_HEADS = (BaseHeatmapHead, HeatmapHead)


def predicted_heatmaps(head: nn.Module, feats: Any) -> Tensor:
    """The heatmaps (B, K, H, W) that one of :data:`HEATMAP_HEADS` decodes, of its features, without the flip test."""
    return head.forward_last(feats) if isinstance(head, BaseHeatmapHead) else head.forward(feats)
