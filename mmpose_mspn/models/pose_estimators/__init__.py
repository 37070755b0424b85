"""Top-down pose estimators: a single model, or an ensemble of several."""
from .ensemble import EnsemblePoseEstimator
from .topdown import TopdownPoseEstimator

__all__ = ['EnsemblePoseEstimator', 'TopdownPoseEstimator']
