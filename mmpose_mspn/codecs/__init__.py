"""Keypoints <-> heatmaps."""
from .coarse_to_fine_heatmap import CoarseToFineHeatmap

__all__ = ['CoarseToFineHeatmap']
