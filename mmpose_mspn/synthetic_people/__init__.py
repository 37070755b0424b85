# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Drawn people with exact COCO keypoints: data for demos and tests that need no download.

:func:`generate` writes a dataset in COCO 2017's layout; :func:`render_scene` draws one image.
"""
from .body import KEYPOINT_NAMES, Build, Figure, pose_figure
from .coco import TRAIN_IMAGES, VAL_IMAGES, generate
from .outfit import Outfit
from .parts import Part, visible_joints
from .poses import Pose
from .scene import OBJECT, Person, Scene, compose, render_scene

__all__ = ['KEYPOINT_NAMES', 'OBJECT', 'Build', 'Figure', 'Outfit', 'Part', 'Person', 'Pose',
           'Scene', 'TRAIN_IMAGES', 'VAL_IMAGES', 'compose', 'generate', 'pose_figure', 'render_scene',
           'visible_joints']
