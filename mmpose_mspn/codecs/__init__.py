"""Codecs: from keypoints to heatmaps and back."""
from .coarse_to_fine_heatmap import CoarseToFineHeatmap

__all__ = ['CoarseToFineHeatmap']
