"""Trained models made ready for inference."""
from .accelerate import accelerate
from .accelerated_pose_estimator import AcceleratedPoseEstimator

__all__ = ['AcceleratedPoseEstimator', 'accelerate']
