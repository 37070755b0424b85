"""Checks of the files that the COCO and the MPII evaluation take."""
from typing import List

import numpy as np
from scipy.io import loadmat

from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.datasets.mpii_release import JOINTS, find_people, load_release
from mmpose_mspn.utils.numbers import is_finite

COCO_NUMBERS = 51
"""x, y and score of 17 keypoints."""


def check_coco_submission(result_file: str, ann_file: str, report: Report) -> List[int]:
    """Check a COCO keypoint result, as ``CocoMetric(format_only=True, outfile_prefix=…)`` writes it.

    Args:
        result_file: JSON list of results.
        ann_file: ``image_info_test-dev2017.json``, or any COCO file that lists the images.
        report: Takes note of the problems.

    Returns:
        Ids of the images without a result, which is no problem where nobody was detected.
    """
    results, content = read_json(result_file, report), read_json(ann_file, report)
    if results is None or content is None:
        return []
    if not isinstance(results, list):
        report.add('unreadable file', f'{result_file}: not a list of results')
        return []
    images = {image['id'] for image in content['images']}
    for index, result in enumerate(results):
        name = f'result {index} of {result_file}'
        missing = [field for field in ('image_id', 'category_id', 'keypoints', 'score') if field not in result]
        if missing:
            report.add('incomplete entry', f'{name}: no {", ".join(missing)}')
            continue
        if result['image_id'] not in images:
            report.add('result in an unknown image', f'{name}: image {result["image_id"]}')
        if result['category_id'] != 1:
            report.add('result of another category', f'{name}: category_id {result["category_id"]}')
        if len(result['keypoints']) != COCO_NUMBERS:
            report.add('keypoints of another number', f'{name}: {len(result["keypoints"])} values, not {COCO_NUMBERS}')
        if not all(is_finite(number) for number in (*result['keypoints'], result['score'])):
            report.add('result that is not finite', name)
    covered = {result.get('image_id') for result in results}
    return sorted(images - covered)


def check_mpii_submission(result_file: str, release_file: str, report: Report) -> int:
    """Check a ``pred_keypoints_mpii.mat``: all test images, and 16 finite joints of every single person.

    Args:
        result_file: The file.
        release_file: ``mpii_human_pose_v1_u12_1.mat``.
        report: Takes note of the problems.

    Returns:
        How many people the test set asks for.
    """
    release = load_release(release_file)
    people = find_people(release)
    try:
        predicted = loadmat(result_file)['pred'].ravel()
    except (OSError, KeyError, ValueError) as error:
        report.add('unreadable file', f'{result_file}: {error}')
        return len(people)
    images = int((release['img_train'] == 0).sum())
    if len(predicted) != images:
        report.add('incomplete entry', f'{result_file}: {len(predicted)} images, not the {images} of the test set')
        return len(people)
    for person in people:
        name = f'person {person.rect_index + 1} of {person.image}'
        joints = _joints(predicted[person.image_index]['annorect'], person.rect_index)
        if sorted(joints) != list(range(JOINTS)):
            report.add('keypoints of another number', f'{name}: joints {sorted(joints)}, not 0 to {JOINTS - 1}')
        elif not np.isfinite(list(joints.values())).all():
            report.add('result that is not finite', name)
    return len(people)


def _joints(rects: np.ndarray, index: int) -> dict:
    """id -> (x, y) of one person; nothing if there are none."""
    if 'annopoints' not in (rects.dtype.names or ()) or index >= rects.size or not rects[0, index]['annopoints'].size:
        return {}
    points = rects[0, index]['annopoints'][0, 0]['point'].ravel()
    return {int(point['id'].item()): (point['x'].item(), point['y'].item()) for point in points}
