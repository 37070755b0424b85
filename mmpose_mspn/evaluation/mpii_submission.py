"""Submissions to the MPII evaluation: the metric that writes ``pred_keypoints_mpii.mat``, and the check of such a file.

Source: the evaluation notes of the MPII Human Pose dataset, single person part: ``pred`` is the list of test images as
MPII's annotation file has it, with ``annopoints.point`` (x, y and id, 0 to 15) filled in for the single people. Pixels
count from 1.
"""
import io
import os
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpose_mspn.data_check.mpii import JOINTS
from mmpose_mspn.data_check.problems import Check, Problem, Report
from mmpose_mspn.datasets.mpii_release import Person, entries_of_test_images, find_people, load_release
from mmpose_mspn.evaluation.metrics import check_finite
from mmpose_mspn.registry import METRICS
from mmpose_mspn.utils.errors import ConfigError, DataError
from mmpose_mspn.utils.outputs import check_outputs, refuse_empty, write_output

KIND = 'mpii-submission'
CENTER_TOLERANCE = 2.
"""Largest distance, in px, between a tested person's center and that of the same person in MPII's annotation file."""
POINT = [('x', object), ('y', object), ('id', object)]
"""Fields of a keypoint."""


@METRICS.register_module()
class MpiiSubmission(BaseMetric):
    """Write ``pred_keypoints_mpii.mat`` for the single people of the test set, and check that it is complete.

    Use it as ``test_evaluator`` with :class:`mmpose_mspn.datasets.MpiiDataset` on the people that
    :func:`mmpose_mspn.datasets.mpii_release.write_test_people` lists.

    Args:
        release_file: ``mpii_human_pose_v1_u12_1.mat``.
        outfile: The file to write, whose name ends in ``.mat``.
        collect_device: ``'cpu'`` or ``'gpu'``, as for every metric.
        prefix: Prefix of the metric's name, ``mpii`` by default.

    Raises:
        FileNotFoundError: ``release_file`` does not exist.
        ConfigError: ``outfile`` does not end in ``.mat``.
        DataError: A tested person is not in the test set, or the file written is incomplete.
    """

    default_prefix = 'mpii'

    def __init__(self,
                 release_file: str,
                 outfile: str = 'pred_keypoints_mpii.mat',
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not outfile.endswith('.mat'):
            raise ConfigError(f'outfile must end in .mat, got {outfile!r}')
        self.release_file, self.outfile = release_file, outfile
        refuse_empty('outfile', outfile)
        check_outputs('outfile', [outfile], KIND, [release_file])
        self.people: Dict[str, List[Person]] = {}
        for person in find_people(load_release(release_file)):
            self.people.setdefault(person.image, []).append(person)

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Store each sample's keypoints, in px from 1, with the position of the person in the test set."""
        for sample in data_samples:
            check_finite(sample)
            person = self._find(sample['raw_ann_info'])
            keypoints = np.asarray(sample['pred_instances']['keypoints'], float)[0] + 1
            self.results.append((person.image_index, person.rect_index, keypoints))

    def _find(self, annotation: dict) -> Person:
        """The person of the test set whom a sample shows."""
        def distance(person: Person) -> float:
            return float(np.linalg.norm(np.subtract(person.center, annotation['center'])))

        nearest = min(self.people.get(annotation['image'], []), key=distance, default=None)
        if nearest is None or distance(nearest) > CENTER_TOLERANCE:
            raise DataError(f'no person of the test set is at {annotation["center"]} in {annotation["image"]}: test '
                            'on the people that tools/submission.py mpii-people writes')
        return nearest

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Write and check the file. The metric ``people`` is the number of people in it."""
        os.makedirs(osp.dirname(osp.abspath(self.outfile)), exist_ok=True)
        keypoints = {(image, rect): person for image, rect, person in results}
        write_mpii_submission(self.outfile, load_release(self.release_file), keypoints)
        report = Report()
        report.collect(check_mpii_submission(self.outfile, self.release_file))
        if report:
            raise DataError(f'{self.outfile} is incomplete:\n{report}')
        print_log(f'{self.outfile}: {len(keypoints)} people', 'current')
        return dict(people=float(len(keypoints)))


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
    write_output(result_file, content.getvalue(), KIND)


def _with_field(rects: np.ndarray, field: str) -> np.ndarray:
    """A struct array with one more field, empty in every entry."""
    extended = np.empty(rects.shape, [*((name, object) for name in rects.dtype.names), (field, object)])
    for name in rects.dtype.names:
        extended[name] = rects[name]
    for rect in extended.ravel():
        rect[field] = np.zeros((0, 0))
    return extended


def check_mpii_submission(result_file: str, release_file: str) -> Check[int]:
    """Check that a ``pred_keypoints_mpii.mat`` has all test images and 16 finite keypoints of every single person.

    Args:
        result_file: The file to check.
        release_file: ``mpii_human_pose_v1_u12_1.mat``.

    Returns:
        The number of people in the test set.
    """
    release = load_release(release_file)
    people = find_people(release)
    from scipy.io import loadmat  # here, because few processes need it
    try:
        predicted = np.asarray(loadmat(result_file)['pred']).ravel()
    except Exception as error:  # scipy raises errors of many types on other files
        yield Problem('unreadable file', f'{result_file}: {type(error).__name__}: {error}')
        return len(people)
    images = len(entries_of_test_images(release, 'annolist'))
    if len(predicted) != images:
        yield Problem('incomplete entry', f'{result_file}: {len(predicted)} images, not the {images} of the test set')
        return len(people)
    for person in people:
        name = f'person {person.rect_index + 1} of {person.image}'
        try:
            joints = _joints(predicted[person.image_index]['annorect'], person.rect_index)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            yield Problem('unreadable file', f'{result_file}: {name}: {type(error).__name__}: {error}')
            continue
        if sorted(joints) != list(range(JOINTS)):
            yield Problem('wrong number of keypoints', f'{name}: joints {sorted(joints)}, not 0 to {JOINTS - 1}')
        elif not np.isfinite(list(joints.values())).all():
            yield Problem('result that is not finite', name)
    return len(people)


def _joints(rects: np.ndarray, index: int) -> Dict[int, Tuple[float, float]]:
    """(x, y) of a person's keypoints by id; empty if there are none."""
    if 'annopoints' not in (rects.dtype.names or ()) or index >= rects.size or not rects[0, index]['annopoints'].size:
        return {}
    points = rects[0, index]['annopoints'][0, 0]['point'].ravel()
    return {int(point['id'].item()): (point['x'].item(), point['y'].item()) for point in points}
