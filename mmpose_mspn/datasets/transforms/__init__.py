"""Pipeline steps: decoded images that are kept, visibility 0/1/2, the official protocol's augmentation, and mmpose's
steps adapted to both."""
from .bbox_transforms import RandomBBoxTransform, RandomScaleRotation, WidenBBox
from .half_body import HalfBody, RandomHalfBody
from .load_image import LoadImage
from .visibility import KeypointConverter, LoadVisibility

__all__ = [
    'HalfBody', 'KeypointConverter', 'LoadImage', 'LoadVisibility', 'RandomBBoxTransform', 'RandomHalfBody',
    'RandomScaleRotation', 'WidenBBox'
]
