"""Annotated people and predictions from files in COCO's formats."""
import os.path as osp
from typing import Dict, List, Sequence, Tuple

import numpy as np

from mmpose_mspn.utils.files import read_json

from .people import Image, KeypointSet, Predictions, Truth, extents

WHOLEBODY_FIELDS = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
"""Fields of an annotation or a result that hold the keypoints of COCO-WholeBody, in their order."""
BOX_AREA_SHARE = 0.53
"""Share of its box that a person covers, by which evaluations without annotated areas go."""


def read_coco_truth(ann_file: str, image_folder: str, keypoints: KeypointSet, use_area: bool = True,
                    ignore_unseen: bool = False) -> Truth:
    """The people of an annotation file in COCO's format.

    Args:
        ann_file: COCO JSON.
        image_folder: Folder of its images.
        keypoints: Its keypoints. The 133 of COCO-WholeBody are read from their five fields.
        use_area: Whether annotations have an ``area``; else it is a share of the box.
        ignore_unseen: Whether ``num_keypoints`` says who need not be found, as in CrowdPose's evaluation; else it is
            who has no labeled keypoint.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another format, or its people have keypoints of another number or are of several
            categories.
    """
    content = read_json('ann_file', ann_file, dict)
    for name in ('images', 'annotations'):
        if not isinstance(content.get(name), list):
            raise ValueError(f'ann_file {ann_file} has no list {name!r}: a diagnosis compares predictions with '
                             'annotated people, so name a file that has them')
    images = _images(content['images'], image_folder)
    places = {image.id: index for index, image in enumerate(images)}
    fields = _fields(content['annotations'], len(keypoints))
    people = [person for person in content['annotations'] if all(name in person for name in fields)]
    categories = {person['category_id'] for person in people}
    if len(categories) > 1:
        raise ValueError(f'ann_file {ann_file} has keypoints of {len(categories)} categories, '
                         f'{sorted(categories)}: a diagnosis is of one, so write a file for each')
    unknown = [person['id'] for person in people if person['image_id'] not in places]
    if unknown:
        raise ValueError(f'ann_file {ann_file} has annotations of images that it does not list, such as {unknown[:3]}')
    if use_area and any('area' not in person for person in people):
        raise ValueError(f'ann_file {ann_file} has annotations without "area": set test_evaluator.use_area=False, '
                         'which takes a share of the box')
    people.sort(key=lambda person: places[person['image_id']])
    points = _points(people, fields, len(keypoints), 'annotation', ann_file)
    boxes = np.array([person['bbox'][:4] for person in people], np.float64).reshape(-1, 4)
    box_areas = boxes[:, 2] * boxes[:, 3] * BOX_AREA_SHARE
    areas = np.array([person['area'] for person in people], np.float64) if use_area else box_areas
    crowd = np.array([bool(person.get('iscrowd', 0)) for person in people], bool)
    if ignore_unseen:
        empty = np.array([person['num_keypoints'] == 0 for person in people], bool)
    else:
        empty = ~(points[..., 2] > 0).any(1)
    return Truth(
        keypoints=points[..., :2],
        visible=points[..., 2],
        boxes=boxes,
        areas=areas,
        norms=boxes[:, 2:].max(1, initial=0),
        image=np.array([places[person['image_id']] for person in people], np.int64),
        ids=np.array([person['id'] for person in people], np.int64),
        ignored=crowd | empty,
        crowd=crowd,
        images=images,
        file=ann_file)


def read_results(path: str, truth: Truth, num_keypoints: int) -> Predictions:
    """Predictions in the format of COCO's results, which ``CocoMetric`` writes.

    Args:
        path: JSON list of ``image_id``, ``keypoints`` (x, y, score of each, in image px), ``score`` and, where known,
            ``bbox`` (x, y, width, height).
        truth: Whose images these are.
        num_keypoints: K.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another format, of other images or of other keypoints.
    """
    results = read_json('predictions', path, list)
    places = {image.id: index for index, image in enumerate(truth.images)}
    for index, result in enumerate(results):
        missing = [name for name in ('image_id', 'keypoints', 'score')
                   if not isinstance(result, dict) or name not in result]
        if missing:
            raise ValueError(f'entry {index} of predictions {path} has no {", ".join(missing)}: write COCO results')
    unknown = sorted({result['image_id'] for result in results} - set(places))
    if unknown:
        raise ValueError(f'predictions {path} are of {len(unknown)} images that {truth.file} does not list, such as '
                         f'{unknown[:3]}: name the predictions of these images')
    points = _points(results, _fields(results, num_keypoints), num_keypoints, 'entry', path)
    scores = np.array([result['score'] for result in results], np.float64)
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise ValueError(f'predictions {path} hold numbers that are not finite: a network that gives them has diverged')
    boxes = extents(points[..., :2]) if len(points) else np.zeros((0, 4))
    for index, result in enumerate(results):
        if result.get('bbox') is not None:
            boxes[index] = result['bbox'][:4]
    predictions = Predictions(
        keypoints=points[..., :2],
        keypoint_scores=points[..., 2],
        scores=scores,
        boxes=boxes,
        image=np.array([places[result['image_id']] for result in results], np.int64),
        ids=np.arange(len(results)))
    # The COCO API passes over results none of whose keypoints scores above 0.
    return predictions.chosen((predictions.keypoint_scores > 0).any(1)).ordered()


def _images(entries: Sequence[dict], folder: str) -> Tuple[Image, ...]:
    by_id: Dict[int, Image] = {}
    for entry in entries:
        file = str(entry.get('file_name', entry['id']))
        by_id[entry['id']] = Image(entry['id'], file, osp.join(folder, file), entry.get('width'), entry.get('height'))
    return tuple(by_id[number] for number in sorted(by_id))


def _fields(entries: Sequence[dict], num_keypoints: int) -> Tuple[str, ...]:
    """The fields that together hold the keypoints of an entry."""
    parts = bool(entries) and all(name in entries[0] for name in WHOLEBODY_FIELDS)
    return WHOLEBODY_FIELDS if num_keypoints == 133 and parts else ('keypoints', )


def _points(entries: List[dict], fields: Sequence[str], num_keypoints: int, kind: str, file: str) -> np.ndarray:
    """(N, K, 3), x, y and visibility or score."""
    rows = [[value for name in fields for value in entry[name]] for entry in entries]
    for index, row in enumerate(rows):
        if len(row) != 3 * num_keypoints:
            number = entries[index].get('id', index)
            third = 'visibility' if kind == 'annotation' else 'score'
            raise ValueError(f'{kind} {number} of {file} has {len(row)} values, not {3 * num_keypoints}, which are x, '
                             f'y and {third} of {num_keypoints} keypoints: name a file of the config\'s keypoints')
    return np.array(rows, np.float64).reshape(-1, num_keypoints, 3)
