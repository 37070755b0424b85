"""A training on keypoints of one's own, from one annotation file."""
from .create import NewDataset, Options, create
from .summary import summary

__all__ = ['NewDataset', 'Options', 'create', 'summary']
