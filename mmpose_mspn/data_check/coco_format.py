"""Checks of files in COCO's format: keypoint annotations of several datasets, and detector boxes."""
import json
import os.path as osp
from functools import partial
from operator import contains
from typing import Dict, Optional, Sequence, Set, Tuple

from mmpose_mspn.data_check.entries import check_box, check_keypoint
from mmpose_mspn.data_check.images import image_sizes
from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.datasets.coco_rules import (
    COCO_FIELDS,
    CocoFields,
    check_annotations,
    check_categories,
    check_images,
    is_person,
)
from mmpose_mspn.datasets.detection_rules import box_category, check_detections
from mmpose_mspn.datasets.evaluation_rules import Evaluation, check_evaluated_annotations
from mmpose_mspn.utils.numbers import CODES, is_finite, is_id


def check_coco(ann_file: str, image_dir: str, report: Report, bbox_files: Sequence[str] = (),
               fields: CocoFields = COCO_FIELDS['CocoDataset'], decode: bool = False, progress: bool = True,
               evaluation: Optional[Evaluation] = None) -> None:
    """Check a keypoint file in COCO's format, its images and optionally detector boxes.

    People without labeled keypoints and crowds are not checked, because training skips them. Annotations may be absent
    (test-dev).

    Args:
        ann_file: COCO JSON.
        image_dir: Folder of the images.
        report: Collects the problems.
        bbox_files: JSON lists of detections.
        fields: The fields that the file must have. Visibility is 0, 1 or 2 in ``keypoints``, and any number >= 0 in
            the other fields of keypoints.
        decode: See :func:`mmpose_mspn.data_check.images.image_sizes`.
        progress: See :func:`mmpose_mspn.data_check.images.image_sizes`.
        evaluation: If predictions will be evaluated against the annotations: how.
    """
    content = read_json(ann_file, report)
    if content is None:
        return
    if not isinstance(content, dict) or 'images' not in content:
        report.add('unreadable file', f'{ann_file}: not COCO\'s format, which has "images" and "annotations"')
        return
    with open(ann_file, 'rb') as file:
        encoding = json.detect_encoding(file.read(4))
    if encoding != 'utf-8':
        report.add('unreadable file',
                   f'{ann_file}: written in {encoding}, but mmpose reads utf-8 (without a byte order mark)')
        return
    categories = check_categories(content, ann_file, report.add)
    if categories is None:
        report.add('incomplete entry', f'{ann_file}: no categories')
    images = check_images(content, fields, ann_file, report.add)
    annotations = check_annotations(content, fields, images, categories, ann_file, report.add)
    _check_images(images, image_dir, report, decode, progress)
    listed = _listed_ids(content)
    for annotation in annotations:
        name = f'annotation {annotation["id"]} of {ann_file}'
        image = images.get(annotation['image_id'])
        if image is not None:
            if is_person(annotation):
                _check_person(annotation, fields, (image['width'], image['height']), name, report)
        elif annotation['image_id'] not in listed:
            report.add('annotation of an unknown image', f'{name}: image {annotation["image_id"]}')
    if not bbox_files and not report and not any(map(_is_used, annotations)):
        report.add('file without people', ann_file)
    if evaluation is not None:
        check_evaluated_annotations(annotations, images, evaluation, ann_file, report.add)
    for bbox_file in bbox_files:
        _check_detections(bbox_file, images, listed, report, box_category(content))


def _is_used(annotation: dict) -> bool:
    """Whether a sound annotation is a person whom the datasets do not leave out."""
    return is_person(annotation) and 'bbox' in annotation and max(annotation.get('keypoints') or [0]) > 0


def _listed_ids(content: dict) -> Set[int]:
    """Ids of all images that the file lists, those with problems among them."""
    entries = content['images'] if isinstance(content['images'], list) else []
    return {image['id'] for image in entries if isinstance(image, dict) and is_id(image.get('id'))}


def _check_images(images: Dict[int, dict], image_dir: str, report: Report, decode: bool, progress: bool) -> None:
    """Check that the images open and have the annotated sizes."""
    paths = {number: osp.join(image_dir, image['file_name']) for number, image in images.items()}
    sizes = image_sizes(paths.values(), report, decode, progress)
    for number, image in images.items():
        annotated, size = (image['width'], image['height']), sizes.get(paths[number])
        if size is None or size.loaded == annotated:
            continue
        if size.loaded != size.stored and size.stored == annotated:
            report.add('annotations of an unrotated photograph',
                       f'{paths[number]}: {size.loaded} as loaded, annotated {annotated} as stored')
        else:
            report.add('wrong image size', f'{paths[number]}: {size.loaded}, annotated {annotated}')


def _check_person(annotation: dict, fields: CocoFields, size: Tuple[int, int], name: str, report: Report) -> None:
    """Check the keypoints and the box of a person in an image of ``size`` (width, height)."""
    for field, count in fields.keypoints.items():
        values = annotation.get(field, [])
        if not values:
            report.add('wrong number of keypoints', f'{name}: {field} has 0 values, not {3 * count}')
        is_visibility, called = (_is_code, 'keypoint') if field == 'keypoints' else (_is_weight, field)
        for index in range(len(values) // 3):
            keypoint = values[3 * index:3 * index + 3]
            check_keypoint(keypoint, is_visibility, size, 0, f'{name}: {called} {index}', report)
    check_box(annotation.get('bbox', ()), size, name, report)


_is_code = partial(contains, CODES)


def _is_weight(visible: float) -> bool:
    """Whether a number is a visibility of feet, faces and hands, which may be a fraction."""
    return is_finite(visible) and visible >= 0


def _check_detections(bbox_file: str, images: Dict[int, dict], listed: Set[int], report: Report,
                      category: int) -> None:
    """Check detector boxes of a category in the ``images``; ``listed`` are also the ids of images with problems."""
    detections = read_json(bbox_file, report)
    if detections is None:
        return
    before = sum(report.counts.values())
    people = check_detections(detections, images, bbox_file, report.add, category)
    for index, detection in people:
        name = f'detection {index} of {bbox_file}'
        image = images.get(detection['image_id'])
        if image is not None:
            check_box(detection['bbox'], (image['width'], image['height']), name, report)
        elif detection['image_id'] not in listed:
            report.add('detection in an unknown image', f'{name}: image {detection["image_id"]}')
    if not people and sum(report.counts.values()) == before:
        report.add('detections of other categories only' if detections else 'file without detections', bbox_file)
