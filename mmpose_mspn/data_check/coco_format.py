"""Checks of files in COCO's format: keypoint annotations of several datasets, and detector boxes."""
import os.path as osp
from collections import Counter
from functools import partial
from operator import contains
from typing import Dict, List, NamedTuple, Sequence, Tuple

from mmpose_mspn.data_check.entries import check_box, check_keypoint, complete_entries
from mmpose_mspn.data_check.images import image_sizes
from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.utils.numbers import is_finite
from mmpose_mspn.utils.visibility import CODES


class CocoFields(NamedTuple):
    """What a dataset's annotation file holds."""
    keypoints: Dict[str, int]  # number of keypoints in each field of an annotation that holds keypoints
    image: Tuple[str, ...] = ()  # fields of an image that the dataset's evaluation reads, beyond COCO's


COCO_FIELDS: Dict[str, CocoFields] = dict(
    CocoDataset=CocoFields(dict(keypoints=17)),
    AicDataset=CocoFields(dict(keypoints=14)),
    CrowdPoseDataset=CocoFields(dict(keypoints=14), image=('crowdIndex', )),
    CocoWholeBodyDataset=CocoFields(
        dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)))
"""By the type of the dataset."""


def check_coco(ann_file: str, image_dir: str, report: Report, bbox_files: Sequence[str] = (),
               fields: CocoFields = COCO_FIELDS['CocoDataset'], decode: bool = False, progress: bool = True) -> None:
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
    """
    content = read_json(ann_file, report)
    if content is None:
        return
    if not isinstance(content, dict) or 'images' not in content:
        report.add('unreadable file', f'{ann_file}: not COCO\'s format, which has "images" and "annotations"')
        return
    image_fields = ('id', 'file_name', 'width', 'height', *fields.image)
    entries = complete_entries(content['images'], image_fields, f'image of {ann_file}', report)
    images = {image['id']: image for image in entries}
    _check_duplicates(entries, 'duplicate image id', ann_file, report)
    annotations = complete_entries(
        content.get('annotations', []), _annotation_fields(fields), f'annotation of {ann_file}', report)
    _check_duplicates(annotations, 'duplicate annotation id', ann_file, report)
    _check_images(images, image_dir, report, decode, progress)
    for annotation in annotations:
        name = f'annotation {annotation["id"]} of {ann_file}'
        image = images.get(annotation['image_id'])
        if image is None:
            report.add('annotation of an unknown image', f'{name}: image {annotation["image_id"]}')
        elif not annotation.get('iscrowd') and annotation.get('num_keypoints', 1):
            _check_person(annotation, fields, (image['width'], image['height']), name, report)
    for bbox_file in bbox_files:
        _check_detections(bbox_file, images, report)


def _annotation_fields(fields: CocoFields) -> Tuple[str, ...]:
    """Fields that every annotation needs."""
    added = [field for field in fields.keypoints if field != 'keypoints']
    # mmpose reads the added keypoints of every annotation, crowds too, and then these two fields.
    return ('id', 'image_id', 'category_id', *added, *(('num_keypoints', 'segmentation') if added else ()))


def _check_duplicates(entries: List[dict], problem: str, file: str, report: Report) -> None:
    """Report ids that several entries have."""
    for number, count in Counter(entry.get('id') for entry in entries).items():
        if count > 1:
            report.add(problem, f'{file}: {number} occurs {count} times')


def _check_images(images: Dict[int, dict], image_dir: str, report: Report, decode: bool, progress: bool) -> None:
    """Check that the images open and have the annotated sizes."""
    paths = {number: osp.join(image_dir, image['file_name']) for number, image in images.items()}
    sizes = image_sizes(paths.values(), report, decode, progress)
    for number, image in images.items():
        annotated = (image['width'], image['height'])
        if sizes.get(paths[number], annotated) != annotated:
            report.add('wrong image size', f'{paths[number]}: {sizes[paths[number]]}, annotated {annotated}')


def _check_person(annotation: dict, fields: CocoFields, size: Tuple[int, int], name: str, report: Report) -> None:
    """Check the keypoints and the box of a person in an image of ``size`` (width, height)."""
    for field, count in fields.keypoints.items():
        values = annotation.get(field) or []
        if len(values) != 3 * count:
            report.add('wrong number of keypoints', f'{name}: {field} has {len(values)} values, not {3 * count}')
        is_visibility, called = (_is_code, 'keypoint') if field == 'keypoints' else (_is_weight, field)
        for index in range(len(values) // 3):
            keypoint = values[3 * index:3 * index + 3]
            check_keypoint(keypoint, is_visibility, size, 0, f'{name}: {called} {index}', report)
    check_box(annotation.get('bbox') or (), size, name, report)


_is_code = partial(contains, CODES)


def _is_weight(visible: float) -> bool:
    """Whether a number is a visibility of feet, faces and hands, which may be a fraction."""
    return is_finite(visible) and visible >= 0


def _check_detections(bbox_file: str, images: Dict[int, dict], report: Report) -> None:
    """Check detector boxes of people."""
    detections = read_json(bbox_file, report)
    if detections is None:
        return
    if not isinstance(detections, list):
        report.add('unreadable file', f'{bbox_file}: not a list of detections')
        return
    for index, detection in enumerate(detections):
        if detection.get('category_id', 1) != 1:  # not a person: the dataset skips it
            continue
        name = f'detection {index} of {bbox_file}'
        image = images.get(detection.get('image_id'))
        if image is None:
            report.add('detection in an unknown image', f'{name}: image {detection.get("image_id")}')
            continue
        check_box(detection.get('bbox') or (), (image['width'], image['height']), name, report)
        score = detection.get('score')
        if not is_finite(score):
            report.add('detection without a finite score', f'{name}: {score}')
