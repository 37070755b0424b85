"""Drawn people with exact COCO keypoints: data for demos and tests that needs no download.

:func:`generate` writes a dataset in COCO 2017's layout; :func:`render_scene` draws one image.

In this folder a "joint" is a point of the drawn body, one for each of the 17 COCO keypoints; a "keypoint" is its
annotation: x, y in px and visibility 0, 1 or 2. Colors are BGR, 0 to 255. Shares and probabilities are 0 to 1.
"""
from .body import KEYPOINT_NAMES, Build, Figure, Pose, pose_figure
from .coco import TRAIN_IMAGES, VAL_IMAGES, generate
from .outfit import Outfit, Part, visible_joints
from .scene import OBJECT, Person, Scene, compose, render_scene

__all__ = [
    'KEYPOINT_NAMES', 'OBJECT', 'Build', 'Figure', 'Outfit', 'Part', 'Person', 'Pose', 'Scene', 'TRAIN_IMAGES',
    'VAL_IMAGES', 'compose', 'generate', 'pose_figure', 'render_scene', 'visible_joints'
]
