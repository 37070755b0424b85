"""COCO's records of a scene: its image, its annotations, and boxes as a person detector would find them."""
from typing import Any, Dict, List, Tuple

import cv2
import numpy as np

from mmpose_mspn.synthetic_people.body import KEYPOINT_NAMES
from mmpose_mspn.synthetic_people.scene import Person, Scene

Record = Dict[str, Any]

PERSON_ID = 1
"""COCO's category id of a person."""
ANNOTATIONS_PER_IMAGE = 10
"""An annotation's id is this times the image's id, plus its number; an image has at most 5 people."""
SKELETON = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
            (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7))
"""COCO's bones: pairs of keypoint numbers, counted from 1."""
FALSE_BOXES = 0.3
"""Share of images with a detected box that holds no person."""
DOUBLES = 0.1
"""Share of people with a second, less exact box of a low score."""


def header(arguments: Record) -> Record:
    """The parts of an annotation file that come before its images; ``arguments`` are stored in ``info``."""
    return {
        'info': {'description': 'Synthetic people in the layout of COCO 2017', 'version': '1.0', 'url': '',
                 'year': 2024, 'contributor': '', 'date_created': '2024/01/01', 'synthetic': arguments},
        'licenses': [{'id': 1, 'name': 'Apache-2.0', 'url': 'https://www.apache.org/licenses/LICENSE-2.0'}],
        'categories': [{'supercategory': 'person', 'id': PERSON_ID, 'name': 'person',
                        'keypoints': list(KEYPOINT_NAMES), 'skeleton': [list(bone) for bone in SKELETON]}],
    }


def image_record(image_id: int, file_name: str, image_size: Tuple[int, int]) -> Record:
    """COCO's entry of an image of ``image_size`` (w, h) px."""
    return {'id': image_id, 'license': 1, 'file_name': file_name, 'width': image_size[0], 'height': image_size[1],
            'date_captured': '', 'coco_url': '', 'flickr_url': ''}


def annotation_records(scene: Scene, image_id: int) -> List[Record]:
    """COCO's annotation entries of all people of a scene."""
    return [_annotation(scene, person, image_id, number) for number, person in enumerate(scene.people)]


def _annotation(scene: Scene, person: Person, image_id: int, number: int) -> Record:
    keypoints: List[float] = []
    for x, y, visibility in person.keypoints:
        keypoints += [round(float(x), 2), round(float(y), 2), int(visibility)]
    return {'id': image_id * ANNOTATIONS_PER_IMAGE + number, 'image_id': image_id, 'category_id': PERSON_ID,
            'iscrowd': 0, 'bbox': [float(side) for side in person.box], 'area': float(person.area),
            'num_keypoints': int((person.keypoints[:, 2] > 0).sum()), 'keypoints': keypoints,
            'segmentation': _polygons(scene.owner, person)}


def _polygons(owner: np.ndarray, person: Person) -> List[List[float]]:
    """Outlines of the pixels that show a person; the box if these are too few for an outline."""
    x, y, width, height = person.box
    mask = (owner[y:y + height, x:x + width] == person.owner).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    outlines = [cv2.approxPolyDP(outline, 0.8, True).reshape(-1) for outline in outlines]
    polygons = [outline.astype(float).tolist() for outline in outlines if len(outline) >= 6]
    box = [x, y, x + width, y, x + width, y + height, x, y + height]
    return polygons or [[float(side) for side in box]]


def detection_records(rng: np.random.Generator, scene: Scene, image_id: int) -> List[Record]:
    """Boxes as a detector would find them: each person's, a few percent off, and some errors of a low score."""
    height, width = scene.owner.shape
    size = np.array([width, height])
    found = []
    for person in scene.people:
        box = np.array(person.box, dtype=float)
        found.append((_jitter(rng, box, 0.02), rng.uniform(0.5, 1)))
        if rng.random() < DOUBLES:
            found.append((_jitter(rng, box, 0.12), rng.uniform(0.05, 0.4)))
    if rng.random() < FALSE_BOXES:
        extent = rng.uniform(0.1, 0.5, 2) * size
        corner = rng.uniform(0, 1, 2) * (size - extent)
        found.append((np.concatenate([corner, extent]), rng.uniform(0.01, 0.3)))
    return [{'image_id': image_id, 'category_id': PERSON_ID, 'bbox': _clip(box, size), 'score': round(float(score), 4)}
            for box, score in found]


def _jitter(rng: np.random.Generator, box: np.ndarray, spread: float) -> np.ndarray:
    """The box (x, y, width, height), moved and scaled by shares of its size with standard deviation ``spread``."""
    shift, growth = np.clip(rng.normal(0, spread, (2, 2)), -2 * spread, 2 * spread)
    extent = box[2:] * (1 + growth)
    return np.concatenate([box[:2] + box[2:] / 2 + shift * box[2:] - extent / 2, extent])


def _clip(box: np.ndarray, size: np.ndarray) -> List[float]:
    """The part of a box (x, y, width, height) inside an image of ``size`` (w, h), at least 1 px on each side."""
    low = np.clip(box[:2], 0, size - 1)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return [round(float(side), 2) for side in (*low, *(high - low))]
