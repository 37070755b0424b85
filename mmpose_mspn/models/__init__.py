"""Backbones, heads, losses and pose estimators."""
from mmpose_mspn.checkpoints.reader import register_scheme

from .backbones import MSPN, AttentionResNet, GhostConv
from .data_preprocessor import PoseDataPreprocessor
from .heads import CPNHead, MSPNHead
from .losses import CPNHeatmapLoss, MultiStageHeatmapLoss
from .pose_estimators import EnsemblePoseEstimator, TopdownPoseEstimator

__all__ = [
    'AttentionResNet', 'CPNHead', 'CPNHeatmapLoss', 'EnsemblePoseEstimator', 'GhostConv', 'MSPN', 'MSPNHead',
    'MultiStageHeatmapLoss', 'PoseDataPreprocessor', 'TopdownPoseEstimator'
]

register_scheme()  # a runner reads its checkpoint after it has built its model
