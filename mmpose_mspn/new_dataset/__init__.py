"""A training on keypoints of one's own, from one annotation file."""
from .config_file import create
from .dataset import NewDataset, Options
from .summary import summary

__all__ = ['NewDataset', 'Options', 'create', 'summary']
