"""Trained models made ready for inference."""
from .accelerate import accelerate
from .accelerated_pose_estimator import AcceleratedPoseEstimator
from .export import export

__all__ = ['AcceleratedPoseEstimator', 'accelerate', 'export']
