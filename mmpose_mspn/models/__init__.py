"""Backbone, head, losses and estimators."""
from .ensemble import EnsemblePoseEstimator
from .mspn import MSPN
from .mspn_head import MSPNHead
from .multi_stage_heatmap_loss import MultiStageHeatmapLoss
from .topdown import TopdownPoseEstimator

__all__ = ['EnsemblePoseEstimator', 'MSPN', 'MSPNHead', 'MultiStageHeatmapLoss', 'TopdownPoseEstimator']
