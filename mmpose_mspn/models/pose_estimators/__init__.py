"""Top-down estimators: one model, or the mean of several."""
from .ensemble import EnsemblePoseEstimator
from .topdown import TopdownPoseEstimator

__all__ = ['EnsemblePoseEstimator', 'TopdownPoseEstimator']
