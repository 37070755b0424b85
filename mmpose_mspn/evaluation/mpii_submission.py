"""The metric that writes a submission to the MPII evaluation."""
import os
import os.path as osp
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.mpii_release import Person, find_people, load_release
from mmpose_mspn.evaluation.finite_predictions import check_finite
from mmpose_mspn.evaluation.mpii_submission_file import check_mpii_submission, write_mpii_submission
from mmpose_mspn.registry import METRICS

CENTER_TOLERANCE = 2.
"""Largest distance, in px, between a tested person's center and that of the same person in MPII's annotation file."""


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
        ValueError: ``outfile`` does not end in ``.mat``; a tested person is not in the test set; or the file written is
            incomplete.
    """

    default_prefix = 'mpii'

    def __init__(self,
                 release_file: str,
                 outfile: str = 'pred_keypoints_mpii.mat',
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not outfile.endswith('.mat'):
            raise ValueError(f'outfile must end in .mat, got {outfile!r}')
        self.release_file, self.outfile = release_file, outfile
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
            raise ValueError(f'no person of the test set is at {annotation["center"]} in {annotation["image"]}: test '
                             'on the people that tools/submission.py mpii-people writes')
        return nearest

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Write and check the file. The metric ``people`` is the number of people in it."""
        os.makedirs(osp.dirname(osp.abspath(self.outfile)), exist_ok=True)
        keypoints = {(image, rect): person for image, rect, person in results}
        write_mpii_submission(self.outfile, load_release(self.release_file), keypoints)
        report = Report()
        check_mpii_submission(self.outfile, self.release_file, report)
        if report:
            raise ValueError(f'{self.outfile} is incomplete:\n{report}')
        print_log(f'{self.outfile}: {len(keypoints)} people', 'current')
        return dict(people=float(len(keypoints)))
