"""Checks of files in MPII's format: annotated people, and head boxes."""
import os.path as osp
from functools import partial
from operator import contains
from typing import Sequence, Tuple

from scipy.io import loadmat

from mmpose_mspn.data_check.entries import check_keypoint, complete_entries, is_inside
from mmpose_mspn.data_check.images import image_sizes
from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.datasets.mpii_release import JOINTS
from mmpose_mspn.utils.numbers import is_finite


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
    people = complete_entries(entries, ('image', 'center', 'scale'), f'person of {ann_file}', report)
    sizes = image_sizes((osp.join(image_dir, person['image']) for person in people), report, decode, progress)
    for index, person in enumerate(people):
        size = sizes.get(osp.join(image_dir, person['image']))
        if size is not None:
            _check_person(person, size, f'person {index} of {ann_file}', report)
    for headbox_file in headbox_files:
        _check_head_boxes(headbox_file, len(entries), report)


_is_labeled_code = partial(contains, (0, 1))


def _check_person(person: dict, size: Tuple[int, int], name: str, report: Report) -> None:
    """Check the position and the keypoints of a person in an image of ``size`` (width, height)."""
    scale, center = person['scale'], person['center'] or ()
    if not is_finite(scale) or scale <= 0:
        report.add('box without a positive size', f'{name}: scale {scale}')
    if len(center) != 2 or not is_finite(*center) or not is_inside(*center, size, first=1):
        report.add('box outside the image', f'{name}: center {tuple(center)} in {size[0]} x {size[1]} px')
    if 'joints' not in person and 'joints_vis' not in person:
        return
    joints, labeled = person.get('joints', []), person.get('joints_vis', [])
    if len(joints) != JOINTS or len(labeled) != JOINTS:
        report.add('wrong number of keypoints',
                   f'{name}: {len(joints)} joints and {len(labeled)} joints_vis, not {JOINTS}')
    for index, (joint, code) in enumerate(zip(joints, labeled)):
        check_keypoint((*joint, code), _is_labeled_code, size, 1, f'{name}: joint {index}', report)


def _check_head_boxes(headbox_file: str, people: int, report: Report) -> None:
    """Check that there is a head box for each of the ``people``."""
    if not osp.exists(headbox_file):
        report.add('missing file', headbox_file)
        return
    try:
        boxes = loadmat(headbox_file)['headboxes_src']
    except (KeyError, ValueError, NotImplementedError, OSError) as error:
        report.add('unreadable file', f'{headbox_file}: {error}')
        return
    if boxes.shape != (2, 2, people):
        report.add('wrong number of head boxes', f'{headbox_file}: {boxes.shape}, not {(2, 2, people)}')
