"""The file that the MPII evaluation takes, ``pred_keypoints_mpii.mat``.

Source: the evaluation notes of the MPII Human Pose dataset, single person part: ``pred`` is the list of test images as
MPII's annotation file has it, with ``annopoints.point`` (x, y and id, 0 to 15) filled in for the single people. Pixels
count from 1.
"""
import io
from typing import Dict, Tuple

import numpy as np

from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.mpii_release import JOINTS, entries_of_test_images, find_people, load_release
from mmpose_mspn.utils.files import write_atomically

POINT = [('x', object), ('y', object), ('id', object)]
"""Fields of a keypoint."""


def write_mpii_submission(result_file: str, release: np.void, keypoints: Dict[Tuple[int, int], np.ndarray]) -> None:
    """Write a ``pred_keypoints_mpii.mat``.

    Args:
        result_file: The file to write.
        release: See :func:`mmpose_mspn.datasets.mpii_release.load_release`.
        keypoints: (16, 2) px from 1 of the person at (image_index, rect_index).
    """
    predicted = entries_of_test_images(release, 'annolist').copy()
    for (image_index, rect_index), person in keypoints.items():
        rects = predicted[image_index]['annorect']
        if 'annopoints' not in rects.dtype.names:
            rects = _with_field(rects, 'annopoints')
        points = np.empty((1, JOINTS), POINT)
        for number, (x, y) in enumerate(np.asarray(person, float)):
            points[0, number] = (x, y, float(number))
        annopoints = np.empty((1, 1), [('point', object)])
        annopoints[0, 0]['point'] = points
        rects[0, rect_index]['annopoints'] = annopoints
        predicted[image_index]['annorect'] = rects
    from scipy.io import savemat  # here, because few processes need it
    content = io.BytesIO()
    savemat(content, dict(pred=predicted[None]), do_compression=True)
    write_atomically(result_file, content.getvalue())


def _with_field(rects: np.ndarray, field: str) -> np.ndarray:
    """A struct array with one more field, empty in every entry."""
    extended = np.empty(rects.shape, [*((name, object) for name in rects.dtype.names), (field, object)])
    for name in rects.dtype.names:
        extended[name] = rects[name]
    for rect in extended.ravel():
        rect[field] = np.zeros((0, 0))
    return extended


def check_mpii_submission(result_file: str, release_file: str, report: Report) -> int:
    """Check that a ``pred_keypoints_mpii.mat`` has all test images and 16 finite keypoints of every single person.

    Args:
        result_file: The file to check.
        release_file: ``mpii_human_pose_v1_u12_1.mat``.
        report: Collects the problems.

    Returns:
        The number of people in the test set.
    """
    release = load_release(release_file)
    people = find_people(release)
    from scipy.io import loadmat  # here, because few processes need it
    try:
        predicted = np.asarray(loadmat(result_file)['pred']).ravel()
    except Exception as error:  # scipy raises errors of many types on other files
        report.add('unreadable file', f'{result_file}: {type(error).__name__}: {error}')
        return len(people)
    images = len(entries_of_test_images(release, 'annolist'))
    if len(predicted) != images:
        report.add('incomplete entry', f'{result_file}: {len(predicted)} images, not the {images} of the test set')
        return len(people)
    for person in people:
        name = f'person {person.rect_index + 1} of {person.image}'
        try:
            keypoints = _keypoints(predicted[person.image_index]['annorect'], person.rect_index)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            report.add('unreadable file', f'{result_file}: {name}: {type(error).__name__}: {error}')
            continue
        if sorted(keypoints) != list(range(JOINTS)):
            report.add('wrong number of keypoints', f'{name}: joints {sorted(keypoints)}, not 0 to {JOINTS - 1}')
        elif not np.isfinite(list(keypoints.values())).all():
            report.add('result that is not finite', name)
    return len(people)


def _keypoints(rects: np.ndarray, index: int) -> Dict[int, Tuple[float, float]]:
    """(x, y) of a person's keypoints by id; empty if there are none."""
    if 'annopoints' not in (rects.dtype.names or ()) or index >= rects.size or not rects[0, index]['annopoints'].size:
        return {}
    points = rects[0, index]['annopoints'][0, 0]['point'].ravel()
    return {int(point['id'].item()): (point['x'].item(), point['y'].item()) for point in points}
