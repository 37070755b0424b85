"""Annotations of several keypoint sets."""
from pathlib import Path

import numpy as np

from tests.test_datasets.coco_files import edited, write_coco

WHOLE_BODY = dict(foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)


def keypoints(count: int) -> list:
    """Visibility 0, 1, 2, 0, 1, 2, …"""
    return [[20 + 2 * i, 10 + 3 * i, i % 3] for i in range(count)]


def write_whole_body(root: Path, **parts) -> Path:
    """COCO-WholeBody's annotation of one person; ``parts`` replaces fields of :data:`WHOLE_BODY`."""
    write_coco(root)
    with edited(root) as content:
        annotation = content['annotations'][0]
        for name, count in WHOLE_BODY.items():
            annotation[name] = parts.get(name, np.array(keypoints(count)).ravel().tolist())
        annotation['segmentation'] = []
    return root
