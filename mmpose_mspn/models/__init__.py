"""Backbone, head, losses and estimators."""
from .accelerate import accelerate
from .cpn_head import CPNHead
from .cpn_loss import CPNHeatmapLoss
from .ensemble import EnsemblePoseEstimator
from .ghost import GhostConv
from .mspn import MSPN
from .mspn_head import MSPNHead
from .multi_stage_heatmap_loss import MultiStageHeatmapLoss
from .residual_attention import AttentionResNet
from .topdown import TopdownPoseEstimator

__all__ = [
    'AttentionResNet', 'CPNHead', 'CPNHeatmapLoss', 'EnsemblePoseEstimator', 'GhostConv', 'MSPN', 'MSPNHead',
    'MultiStageHeatmapLoss', 'TopdownPoseEstimator', 'accelerate'
]
