"""Checks of files in MPII's format: annotated people, and head boxes."""
import os.path as osp
from functools import partial
from operator import contains
from typing import Sequence, Tuple

import numpy as np

from mmpose_mspn.data_check.entries import check_keypoint, is_inside
from mmpose_mspn.data_check.images import image_sizes
from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.datasets.coco_rules import complete_entries, is_file_name
from mmpose_mspn.datasets.mpii_dataset import LABEL_FIELDS, PIXEL_STD, POSITION_FIELDS, head_sizes, wrong_sizes
from mmpose_mspn.datasets.mpii_release import JOINTS
from mmpose_mspn.datasets.problems import FAR, shown
from mmpose_mspn.utils.numbers import as_numbers, is_finite


def check_mpii(ann_file: str, image_dir: str, report: Report, headbox_files: Sequence[str] = (),
               decode: bool = False, progress: bool = True) -> None:
    """Check an MPII file, its images and optionally head boxes.

    Coordinates count from 1. People of the test set have no keypoints.

    Args:
        ann_file: JSON list of people.
        image_dir: Folder of the images.
        report: Collects the problems.
        headbox_files: Head boxes, ``.mat``.
        decode: See :func:`mmpose_mspn.data_check.images.image_sizes`.
        progress: See :func:`mmpose_mspn.data_check.images.image_sizes`.
    """
    entries = read_json(ann_file, report)
    if entries is None:
        return
    if not isinstance(entries, list):
        report.add('unreadable file', f'{ann_file}: not a list of people')
        return
    people = complete_entries(entries, POSITION_FIELDS, f'person of {ann_file}', report.add)
    named = [(index, person) for index, person in enumerate(people) if _has_image(index, person, ann_file, report)]
    sizes = image_sizes((osp.join(image_dir, person['image']) for _, person in named), report, decode, progress)
    for index, person in named:
        size = sizes.get(osp.join(image_dir, person['image']))
        if size is not None:
            _check_person(person, size.loaded, f'person {index} of {ann_file}', report)
    for headbox_file in headbox_files:
        _check_head_boxes(headbox_file, len(entries), report)


def _has_image(index: int, person: dict, ann_file: str, report: Report) -> bool:
    """Whether a person's image has a name that the dataset can use."""
    named = is_file_name(person['image'])
    if not named:
        report.add('image without a name', f'person {index} of {ann_file}: image {shown(person["image"])}')
    return named


_is_labeled_code = partial(contains, (0, 1))


def _check_person(person: dict, size: Tuple[int, int], name: str, report: Report) -> None:
    """Check the position and the keypoints of a person in an image of ``size`` (width, height)."""
    scale, center = person['scale'], as_numbers(person['center'], (2, ))
    if not is_finite(scale) or scale <= 0:
        report.add('box without a positive size', f'{name}: scale {shown(scale)}')
    elif PIXEL_STD * scale > (1 + FAR) * max(size):
        report.add('coordinate far outside the image', f'{name}: scale {shown(scale)} in {size[0]} x {size[1]} px')
    if center is None or not is_inside(*center, size, first=1):
        report.add('box outside the image',
                   f'{name}: center {shown(person["center"])} in {size[0]} x {size[1]} px')
    if not set(LABEL_FIELDS) & set(person):
        return
    joints, labeled = person.get('joints'), person.get('joints_vis')
    if not all(isinstance(values, list) and len(values) == JOINTS for values in (joints, labeled)):
        report.add('wrong number of keypoints',
                   f'{name}: {JOINTS} joints and joints_vis are needed, not {shown(joints)} and {shown(labeled)}')
        return
    for index, (joint, code) in enumerate(zip(joints, labeled)):
        where = f'{name}: joint {index}'
        if as_numbers(joint, (2, )) is None:
            report.add('keypoint that is not finite', f'{where} at {shown(joint)}')
        else:
            check_keypoint((*joint, code), _is_labeled_code, size, 1, where, report)


def _check_head_boxes(headbox_file: str, people: int, report: Report) -> None:
    """Check that there is a head box for each of the ``people``."""
    if not osp.exists(headbox_file):
        report.add('missing file', headbox_file)
        return
    from scipy.io import loadmat  # here, because few processes need it
    try:
        boxes = np.asarray(loadmat(headbox_file)['headboxes_src'])
    except Exception as error:  # scipy raises errors of many types on other files
        report.add('unreadable file', f'{headbox_file}: {type(error).__name__}: {error}')
        return
    if boxes.shape != (2, 2, people):
        report.add('wrong number of head boxes', f'{headbox_file}: {boxes.shape}, not {(2, 2, people)}')
        return
    for index in wrong_sizes(head_sizes(boxes)):
        report.add('head box without a positive size', f'{headbox_file}: box {index}, {boxes[..., index].tolist()}')
