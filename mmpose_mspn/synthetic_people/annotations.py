# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""COCO's records for a scene: image, annotations, and what a person detector might have found."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .body import KEYPOINT_NAMES
from .scene import Person, Scene

Record = dict[str, Any]
PERSON_ID = 1  # COCO's category id of persons
_ANNOTATIONS_PER_IMAGE = 10  # annotation ids are image_id * this + number; people are at most 5
_SKELETON = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8),
             (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7))
_FALSE_BOXES = .3  # share of images with a box on nobody
_DOUBLES = .1  # share of people with a second, loose box of a low score


def header(arguments: Record) -> Record:
    """The parts of an annotation file that come before its images; ``arguments`` go to info."""
    return {
        'info': {'description': 'Synthetic people in the layout of COCO 2017', 'version': '1.0',
                 'url': '', 'year': 2024, 'contributor': '', 'date_created': '2024/01/01',
                 'synthetic': arguments},
        'licenses': [{'id': 1, 'name': 'Apache-2.0',
                      'url': 'https://www.apache.org/licenses/LICENSE-2.0'}],
        'categories': [{'supercategory': 'person', 'id': PERSON_ID, 'name': 'person',
                        'keypoints': list(KEYPOINT_NAMES),
                        'skeleton': [list(bone) for bone in _SKELETON]}],
    }


def image_record(image_id: int, file_name: str, image_size: tuple[int, int]) -> Record:
    """COCO's image entry; ``image_size`` is (width, height)."""
    return {'id': image_id, 'license': 1, 'file_name': file_name, 'width': image_size[0],
            'height': image_size[1], 'date_captured': '', 'coco_url': '', 'flickr_url': ''}


def annotation_records(scene: Scene, image_id: int) -> list[Record]:
    """COCO's annotation entries of all people of a scene."""
    return [_annotation(scene, person, image_id, number)
            for number, person in enumerate(scene.people)]


def _annotation(scene: Scene, person: Person, image_id: int, number: int) -> Record:
    keypoints: list[float] = []
    for x, y, visibility in person.keypoints:
        keypoints += [round(float(x), 2), round(float(y), 2), int(visibility)]
    return {'id': image_id * _ANNOTATIONS_PER_IMAGE + number, 'image_id': image_id,
            'category_id': PERSON_ID, 'iscrowd': 0, 'bbox': [float(side) for side in person.box],
            'area': float(person.area), 'num_keypoints': int((person.keypoints[:, 2] > 0).sum()),
            'keypoints': keypoints, 'segmentation': _polygons(scene.owner, person)}


def _polygons(owner: np.ndarray, person: Person) -> list[list[float]]:
    """Outlines of the pixels that show a person; the box where these are too small for one."""
    x, y, width, height = person.box
    mask = (owner[y:y + height, x:x + width] == person.owner).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    outlines = [cv2.approxPolyDP(outline, .8, True).reshape(-1) for outline in outlines]
    polygons = [outline.astype(float).tolist() for outline in outlines if len(outline) >= 6]
    box = [x, y, x + width, y, x + width, y + height, x, y + height]
    return polygons or [[float(side) for side in box]]


def detection_records(rng: np.random.Generator, scene: Scene, image_id: int) -> list[Record]:
    """Boxes of an imagined detector: each person a few percent off, and some low-score errors."""
    height, width = scene.owner.shape
    size = np.array([width, height])
    found = []
    for person in scene.people:
        box = np.array(person.box, dtype=float)
        found.append((_jitter(rng, box, .02), rng.uniform(.5, 1)))
        if rng.random() < _DOUBLES:
            found.append((_jitter(rng, box, .12), rng.uniform(.05, .4)))
    if rng.random() < _FALSE_BOXES:
        extent = rng.uniform(.1, .5, 2) * size
        corner = rng.uniform(0, 1, 2) * (size - extent)
        found.append((np.concatenate([corner, extent]), rng.uniform(.01, .3)))
    return [{'image_id': image_id, 'category_id': PERSON_ID, 'bbox': _clip(box, size),
             'score': round(float(score), 4)} for box, score in found]


def _jitter(rng: np.random.Generator, box: np.ndarray, spread: float) -> np.ndarray:
    shift, growth = np.clip(rng.normal(0, spread, (2, 2)), -2 * spread, 2 * spread)
    extent = box[2:] * (1 + growth)
    return np.concatenate([box[:2] + box[2:] / 2 + shift * box[2:] - extent / 2, extent])


def _clip(box: np.ndarray, size: np.ndarray) -> list[float]:
    low = np.clip(box[:2], 0, size - 1)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return [round(float(side), 2) for side in (*low, *(high - low))]
