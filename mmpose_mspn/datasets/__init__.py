"""Data sets and transforms of the official protocol; the synthetic people."""
from .coco_dataset import CocoDataset
from .mpii_dataset import MpiiDataset
from .transforms import HalfBody, RandomScaleRotation, WidenBBox

__all__ = ['CocoDataset', 'HalfBody', 'MpiiDataset', 'RandomScaleRotation', 'WidenBBox']
