"""Backbone, head and losses."""
from .mspn import MSPN
from .mspn_head import MSPNHead
from .multi_stage_heatmap_loss import MultiStageHeatmapLoss

__all__ = ['MSPN', 'MSPNHead', 'MultiStageHeatmapLoss']
