"""The official protocol's steps of a pipeline, and faster forms of mmpose's."""
from .bbox_transforms import RandomBBoxTransform, RandomScaleRotation, WidenBBox
from .half_body import HalfBody
from .keypoint_converter import KeypointConverter

__all__ = ['HalfBody', 'KeypointConverter', 'RandomBBoxTransform', 'RandomScaleRotation', 'WidenBBox']
