"""Losses of MSPN and CPN."""
from .cpn_loss import CPNHeatmapLoss
from .multi_stage_heatmap_loss import MultiStageHeatmapLoss

__all__ = ['CPNHeatmapLoss', 'MultiStageHeatmapLoss']
