"""MPII's own annotation file, ``mpii_human_pose_v1_u12_1.mat``: the people of its test set.

Source: the evaluation notes of the MPII Human Pose dataset, single person part. The test images are
``RELEASE.annolist(RELEASE.img_train == 0)``, the people to find in them are named by ``RELEASE.single_person``, and
pixels count from 1.
"""
import os.path as osp
from typing import Iterator, List, NamedTuple, Tuple

import numpy as np

from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.outputs import check_outputs, refuse_empty, write_json_output

RELEASE_FIELDS = ('annolist', 'img_train', 'single_person')
"""Fields of ``RELEASE`` that say whom the test set shows."""


class Person(NamedTuple):
    """A single person of the test set."""
    image_index: int  # among the test images, from 0
    rect_index: int  # among the image's annorect, from 0
    image: str  # file name
    center: Tuple[float, float]  # px, from 1
    scale: float  # in units of 200 px


def load_release(release_file: str) -> np.void:
    """``RELEASE`` of ``mpii_human_pose_v1_u12_1.mat``.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is another file.
    """
    if not osp.isfile(release_file):
        raise FileNotFoundError(f'{release_file} does not exist: put mpii_human_pose_v1_u12_1.mat of MPII\'s '
                                'annotations there')
    from scipy.io import loadmat  # here, because few processes need it
    try:
        content = loadmat(release_file)
    except Exception as error:  # scipy raises errors of many types on other files
        raise DataError(f'{release_file} is not MPII\'s annotation file ({type(error).__name__}: {error}): fetch '
                        'mpii_human_pose_v1_u12_1.mat again') from error
    if 'RELEASE' not in content:
        raise DataError(f'{release_file} is not MPII\'s annotation file: it holds no RELEASE')
    try:
        release = content['RELEASE'][0, 0]
        for field in RELEASE_FIELDS:
            release[field].ravel()
    except (IndexError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f'{release_file} is not MPII\'s annotation file: its RELEASE has no '
                        f'{", ".join(RELEASE_FIELDS)} ({error})') from error
    return release


def entries_of_test_images(release: np.void, field: str) -> np.ndarray:
    """The entries of a field of ``RELEASE`` that belong to the test images, (images,)."""
    return release[field].ravel()[release['img_train'].ravel() == 0]


def find_people(release: np.void) -> List[Person]:
    """The test set's single people whose position and scale are given, in the order of the file.

    Raises:
        DataError: The structure is not that of MPII's annotation file.
    """
    try:
        return list(_people(release))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f'RELEASE is not that of MPII\'s annotation file ({type(error).__name__}: {error}): fetch '
                        'mpii_human_pose_v1_u12_1.mat again') from error


def _people(release: np.void) -> Iterator[Person]:
    annotated = zip(entries_of_test_images(release, 'annolist'), entries_of_test_images(release, 'single_person'))
    for image_index, (image, numbers) in enumerate(annotated):
        name = str(image['image'][0, 0]['name'][0])
        rects = image['annorect']
        for rect_index in (int(number) - 1 for number in numbers.ravel()):
            rect = rects[0, rect_index]
            if {'objpos', 'scale'} <= set(rects.dtype.names) and rect['objpos'].size and rect['scale'].size:
                position = rect['objpos'][0, 0]
                center = (float(position['x'].item()), float(position['y'].item()))
                yield Person(image_index, rect_index, name, center, float(rect['scale'].item()))


def write_test_people(release_file: str, ann_file: str) -> int:
    """Write the annotation file with which ``MpiiDataset`` (``test_mode=True``) reads the whole test set.

    Returns:
        The number of people.
    """
    refuse_empty('out', ann_file)
    check_outputs('out', [ann_file], 'mpii-people')
    people = find_people(load_release(release_file))
    content = [dict(image=person.image, center=person.center, scale=person.scale) for person in people]
    write_json_output(ann_file, content, 'mpii-people')
    return len(people)
