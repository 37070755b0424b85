"""Datasets and transforms of the official protocol."""
from .coco_dataset import AicDataset, CocoDataset, CocoWholeBodyDataset, CrowdPoseDataset
from .collate import StackedSamples, stack_samples
from .mpii_dataset import MpiiDataset
from .transforms import (
    HalfBody,
    KeypointConverter,
    LoadImage,
    LoadVisibility,
    RandomBBoxTransform,
    RandomHalfBody,
    RandomScaleRotation,
    WidenBBox,
)

__all__ = [
    'AicDataset', 'CocoDataset', 'CocoWholeBodyDataset', 'CrowdPoseDataset', 'HalfBody', 'KeypointConverter',
    'LoadImage', 'LoadVisibility', 'MpiiDataset', 'RandomBBoxTransform', 'RandomHalfBody', 'RandomScaleRotation',
    'StackedSamples', 'WidenBBox', 'stack_samples'
]
