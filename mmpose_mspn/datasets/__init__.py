"""Data sets and transforms of the official protocol; the synthetic people."""
from .coco_dataset import AicDataset, CocoDataset, CocoWholeBodyDataset, CrowdPoseDataset
from .keypoint_converter import KeypointConverter
from .mpii_dataset import MpiiDataset
from .transforms import HalfBody, RandomBBoxTransform, RandomScaleRotation, WidenBBox

__all__ = [
    'AicDataset', 'CocoDataset', 'CocoWholeBodyDataset', 'CrowdPoseDataset', 'HalfBody', 'KeypointConverter',
    'MpiiDataset', 'RandomBBoxTransform', 'RandomScaleRotation', 'WidenBBox'
]
