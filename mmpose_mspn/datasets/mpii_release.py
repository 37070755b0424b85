"""MPII's own annotation file, and the submission that its evaluation takes in the same form.

Source: the evaluation notes of the MPII Human Pose dataset, single person part: ``pred`` is the list of test images
(``RELEASE.annolist(RELEASE.img_train == 0)``) with ``annopoints.point`` (x, y and id, 0 to 15) filled in for the people
that ``RELEASE.single_person`` names, saved as ``pred_keypoints_mpii.mat``. Pixels count from 1.
"""
import json
import os.path as osp
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
from scipy.io import loadmat, savemat

JOINTS = 16
POINT = [('x', object), ('y', object), ('id', object)]
"""Fields of a joint."""


class Person(NamedTuple):
    """A person that the test set asks for."""
    image_index: int  # among the test images, from 0
    rect_index: int  # among the image's annorect, from 0
    image: str  # file name
    center: Tuple[float, float]  # px, from 1
    scale: float  # in units of 200 px


def load_release(release_file: str) -> np.void:
    """``RELEASE`` of ``mpii_human_pose_v1_u12_1.mat``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another file.
    """
    if not osp.exists(release_file):
        raise FileNotFoundError(f'{release_file} does not exist: put mpii_human_pose_v1_u12_1.mat of MPII\'s '
                                'annotations there')
    content = loadmat(release_file)
    if 'RELEASE' not in content:
        raise ValueError(f'{release_file} is not MPII\'s annotation file: it holds no RELEASE')
    return content['RELEASE'][0, 0]


def _of_test(release: np.void, field: str) -> np.ndarray:
    return release[field].ravel()[release['img_train'].ravel() == 0]


def find_people(release: np.void) -> List[Person]:
    """The test set's single people, whose place and scale are known, in the order of the file."""
    people = []
    annotated = zip(_of_test(release, 'annolist'), _of_test(release, 'single_person'))
    for image_index, (image, numbers) in enumerate(annotated):
        name = str(image['image'][0, 0]['name'][0])
        rects = image['annorect']
        for rect_index in (int(number) - 1 for number in numbers.ravel()):
            rect = rects[0, rect_index]
            if {'objpos', 'scale'} <= set(rects.dtype.names) and rect['objpos'].size and rect['scale'].size:
                place = rect['objpos'][0, 0]
                center = (float(place['x'].item()), float(place['y'].item()))
                people.append(Person(image_index, rect_index, name, center, float(rect['scale'].item())))
    return people


def write_test_people(release_file: str, ann_file: str) -> int:
    """Write the annotation file with which ``MpiiDataset`` (``test_mode=True``) tests on everyone.

    Returns:
        How many people there are.
    """
    people = find_people(load_release(release_file))
    with open(ann_file, 'w') as file:
        json.dump([dict(image=person.image, center=person.center, scale=person.scale) for person in people], file)
    return len(people)


def write_submission(result_file: str, release: np.void, keypoints: Dict[Tuple[int, int], np.ndarray]) -> None:
    """Write ``pred_keypoints_mpii.mat``.

    Args:
        result_file: The file.
        release: See :func:`load_release`.
        keypoints: (16, 2) px from 1 of the person at (image_index, rect_index).
    """
    predicted = _of_test(release, 'annolist').copy()
    for (image_index, rect_index), joints in keypoints.items():
        rects = predicted[image_index]['annorect']
        if 'annopoints' not in rects.dtype.names:
            rects = _with_field(rects, 'annopoints')
        points = np.empty((1, JOINTS), POINT)
        for number, (x, y) in enumerate(np.asarray(joints, float)):
            points[0, number] = (x, y, float(number))
        annopoints = np.empty((1, 1), [('point', object)])
        annopoints[0, 0]['point'] = points
        rects[0, rect_index]['annopoints'] = annopoints
        predicted[image_index]['annorect'] = rects
    savemat(result_file, dict(pred=predicted[None]), do_compression=True)


def _with_field(rects: np.ndarray, field: str) -> np.ndarray:
    wider = np.empty(rects.shape, [*((name, object) for name in rects.dtype.names), (field, object)])
    for name in rects.dtype.names:
        wider[name] = rects[name]
    for rect in wider.ravel():
        rect[field] = np.zeros((0, 0))
    return wider
