"""The MPII test set's answer file, written by the stock test runner."""
import os
import os.path as osp
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.mpii_release import Person, find_people, load_release, write_submission
from mmpose_mspn.evaluation.submission import check_mpii_submission
from mmpose_mspn.registry import METRICS

NEAR = 2.
"""px between a person's annotated center and the test file's."""


@METRICS.register_module()
class MpiiSubmission(BaseMetric):
    """Writes ``pred_keypoints_mpii.mat``, for single people, and checks that it is complete.

    Use it as ``test_evaluator`` with :class:`mmpose_mspn.datasets.MpiiDataset` on the people that
    :func:`mmpose_mspn.datasets.mpii_release.write_test_people` lists.

    Args:
        release_file: ``mpii_human_pose_v1_u12_1.mat``.
        outfile: The file to write, ``.mat``.
        collect_device: ``'cpu'`` or ``'gpu'``, as for every metric.
        prefix: Of the metric's name; ``mpii`` unless given.

    Raises:
        FileNotFoundError: There is no ``release_file``.
        ValueError: ``outfile`` is no ``.mat``; a tested person is not of the test set; or, at the end, the file written
            is incomplete.
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
        """Keep each sample's joints, counted from 1, under its person's place in the test set."""
        for sample in data_samples:
            person = self._find(sample['raw_ann_info'])
            joints = np.asarray(sample['pred_instances']['keypoints'], float)[0] + 1
            self.results.append((person.image_index, person.rect_index, joints))

    def _find(self, annotation: dict) -> Person:
        def distance(person: Person) -> float:
            return float(np.linalg.norm(np.subtract(person.center, annotation['center'])))

        nearest = min(self.people.get(annotation['image'], []), key=distance, default=None)
        if nearest is None or distance(nearest) > NEAR:
            raise ValueError(f'nobody in the test set is at {annotation["center"]} in {annotation["image"]}: test on '
                             'the people that tools/submission.py mpii-people writes')
        return nearest

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Write and check the file; ``people`` is how many it answers for."""
        os.makedirs(osp.dirname(osp.abspath(self.outfile)), exist_ok=True)
        keypoints = {(image, rect): joints for image, rect, joints in results}
        write_submission(self.outfile, load_release(self.release_file), keypoints)
        report = Report()
        check_mpii_submission(self.outfile, self.release_file, report)
        if report:
            raise ValueError(f'{self.outfile} is incomplete:\n{report}')
        print_log(f'{self.outfile}: {len(keypoints)} people', 'current')
        return dict(people=float(len(keypoints)))
