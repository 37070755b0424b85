"""What files in MPII's format must hold: annotated people, whose coordinates count from 1, and head boxes.

The checks accept any JSON content and raise nothing themselves, see :mod:`mmpose_mspn.data_check.problems`.
"""
import os.path as osp
from typing import Iterator, NamedTuple, Optional, Tuple

import numpy as np

from mmpose_mspn.data_check.problems import LARGEST_SIDE, Check, Problem, is_file_name
from mmpose_mspn.utils.arguments import truncate
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import as_numbers, is_finite

JOINTS = 16
"""Number of MPII's keypoints, which its files call joints."""
PIXEL_STD = 200.
"""px of a person's height at scale 1."""
HEAD_SHARE = 0.6
"""Head size of PCKh, as a share of the head box's diagonal."""
POSITION_FIELDS = ('image', 'center', 'scale')
"""Fields of every person."""
LABEL_FIELDS = ('joints', 'joints_vis')
"""Fields of a person that a test set lacks."""


class MpiiPerson(NamedTuple):
    """A person of an annotation file."""
    image: str  # file name
    center: Optional[np.ndarray]  # (2,) px, or None if it is not finite
    scale: Optional[np.ndarray]  # (), height in units of PIXEL_STD px, > 0, or None if it is not
    joints: np.ndarray  # (16, 2) px
    joints_vis: np.ndarray  # (16,); labeled if above 0


def check_person(entry: object, name: str, with_labels: bool) -> Check[Optional[MpiiPerson]]:
    """The person of an entry, or ``None``.

    Args:
        name: What messages call the person.
        with_labels: Whether the person must have :data:`LABEL_FIELDS`.
    """
    fields = entry if isinstance(entry, dict) else {}
    has_labels = with_labels or bool(set(LABEL_FIELDS) & set(fields))
    missing = [field for field in (*POSITION_FIELDS, *(LABEL_FIELDS if has_labels else ())) if field not in fields]
    if missing:
        yield Problem('incomplete entry', f'{name}: no {", ".join(missing)}')
        return None
    if not is_file_name(entry['image']):
        yield Problem('image without a name', f'{name}: image {truncate(entry["image"])}')
        return None
    center, scale = as_numbers(entry['center'], (2, )), as_numbers(entry['scale'], ())
    scale = scale if scale is not None and scale > 0 else None
    if (center is not None and np.abs(center).max() > LARGEST_SIDE
            or scale is not None and PIXEL_STD * scale > LARGEST_SIDE):
        yield Problem('coordinate far outside the image', f'{name}: center {truncate(entry["center"])} in px and scale '
                      f'{truncate(entry["scale"])} in units of {PIXEL_STD:.0f} px, and no image has a side of more '
                      f'than {LARGEST_SIDE} px')
        return None
    joints, visible = np.zeros((JOINTS, 2), np.float32), np.zeros(JOINTS, np.float32)
    if has_labels:
        joints, visible = (yield from _check_labels(entry, name))
    return joints if joints is None else MpiiPerson(entry['image'], center, scale, joints, visible)


def _check_labels(entry: dict, name: str) -> Check[Tuple[Optional[np.ndarray], Optional[np.ndarray]]]:
    """The joints (16, 2) and their visibility (16,), or twice ``None``."""
    joints, visible = (entry[field] for field in LABEL_FIELDS)
    if not all(isinstance(values, list) and len(values) == JOINTS for values in (joints, visible)):
        yield Problem('wrong number of keypoints', f'{name}: {JOINTS} joints and joints_vis are needed, not '
                      f'{truncate(joints)} and {truncate(visible)}')
        return None, None
    for index, (joint, labeled) in enumerate(zip(joints, visible)):
        position = as_numbers(joint, (2, ))
        if position is None:
            yield Problem('keypoint that is not finite', f'{name}: joint {index} at {truncate(joint)}')
        elif np.abs(position).max() > LARGEST_SIDE:
            yield Problem('coordinate far outside the image', f'{name}: joint {index} at {truncate(joint)}')
        elif not is_finite(labeled):
            yield Problem('visibility out of range', f'{name}: joint {index} has {truncate(labeled)}')
        else:
            continue
        return None, None
    return as_numbers(joints, (JOINTS, 2)), as_numbers(visible, (JOINTS, ))


def check_position(person: MpiiPerson, entry: dict, name: str) -> Iterator[Problem]:
    """Check that a person has a position, which a test needs of everyone."""
    if person.center is None or person.scale is None:
        yield Problem('box without a positive size', f'{name}: center {truncate(entry["center"])} and scale '
                      f'{truncate(entry["scale"])}')


def check_head_boxes(path: FilePath, people: int) -> Check[Optional[np.ndarray]]:
    """The head size of each of the ``people``, (people,) px, out of a ``.mat`` file as MPII's ``mpii_gt_val.mat``."""
    if not osp.exists(path):
        yield Problem('missing file', str(path))
        return None
    from scipy.io import loadmat  # here, because few processes need it
    try:
        boxes = np.asarray(loadmat(path)['headboxes_src'])  # (2 corners, x and y, people)
    except Exception as error:  # scipy raises errors of many types on other files
        yield Problem('unreadable file', f'{path}: no .mat file with headboxes_src ({type(error).__name__}: {error})')
        return None
    if boxes.shape != (2, 2, people):
        yield Problem('wrong number of head boxes', f'{path}: headboxes_src of shape {boxes.shape}, not '
                      f'{(2, 2, people)}')
        return None
    corners = boxes.astype(float)
    sizes = (HEAD_SHARE * np.linalg.norm(corners[1] - corners[0], axis=0)).astype(np.float32)
    for index in np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0))):
        yield Problem('head box without a positive size',
                      f'{path}: the box of person {index}, {boxes[..., index].tolist()}')
    return sizes
