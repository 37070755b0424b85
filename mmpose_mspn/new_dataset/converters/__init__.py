"""Annotations of labeling tools as COCO keypoints, and predictions as annotations of a labeling tool."""
from .convert import TARGETS, Converted, convert_annotations, recognize_format

__all__ = ['TARGETS', 'Converted', 'convert_annotations', 'recognize_format']
