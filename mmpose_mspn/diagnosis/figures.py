"""The one figure that a data set is judged by, of any predictions and of groups of keypoints and people.

COCO's AP goes with people who are matched by similarity, MPII's PCKh with people who are given.
"""
from typing import Dict, Optional, Tuple, Union

import numpy as np

from .average_precision import average_precision
from .groups import Group
from .people import KeypointSet, Predictions, Truth

Values = Dict[str, Union[int, float, None]]
UNCOUNTED = ('pelvis', 'thorax')
"""Keypoints that MPII's PCKh leaves out."""


class AveragePrecision:
    """AP of people matched by OKS."""

    name, by_id = 'AP', False

    def __init__(self, keypoints: KeypointSet) -> None:
        self.keypoints = keypoints

    def __call__(self, truth: Truth, predictions: Predictions, among: Optional[np.ndarray] = None) -> Optional[float]:
        """AP, 0 to 1; ``among``: (K,) mask of the keypoints that count."""
        return average_precision(truth, predictions, self.keypoints, among=among).ap

    def of_group(self, truth: Truth, predictions: Predictions, group: Group) -> Values:
        """``people``, ``ap``, ``ap50``, ``ap75`` and ``ar`` of a group.

        Boxes of nobody count in the images that hold someone of the group; of a size, COCO's rule holds.
        """
        return average_precision(
            truth, predictions, self.keypoints, among=group.among, counted=group.counted, area_range=group.area_range,
            own_images=group.counted is not None).as_dict()


class Pckh:
    """MPII's PCKh@0.5 in percent: the share of labeled keypoints within half a head of their place."""

    name, by_id = 'PCKh', True

    def __init__(self, keypoints: KeypointSet) -> None:
        self.counted = np.array([name not in UNCOUNTED for name in keypoints.names])

    def __call__(self, truth: Truth, predictions: Predictions, among: Optional[np.ndarray] = None) -> Optional[float]:
        """PCKh@0.5, 0 to 100; ``among``: (K,) mask of the keypoints that count."""
        return self._share(truth, predictions, Group('', '', among=among), 0.5)[1]

    def of_group(self, truth: Truth, predictions: Predictions, group: Group) -> Values:
        """``people``, ``pckh`` and ``pckh10`` (at 0.1) of a group."""
        people, half = self._share(truth, predictions, group, 0.5)
        return dict(people=people, pckh=half, pckh10=self._share(truth, predictions, group, 0.1)[1])

    def _share(self, truth: Truth, predictions: Predictions, group: Group,
               threshold: float) -> Tuple[int, Optional[float]]:
        """Number of people and percent of their keypoints. Who has no prediction has none right."""
        labeled = truth.labeled & self.counted & ~truth.ignored[:, None]
        if group.among is not None:
            labeled = labeled & group.among
        if group.counted is not None:
            labeled = labeled & group.counted[:, None]
        if group.area_range is not None:
            low, high = group.area_range
            labeled = labeled & ((truth.areas >= low) & (truth.areas <= high))[:, None]
        people = int(labeled.any(1).sum())
        if not people:
            return 0, None
        order = np.argsort(truth.ids, kind='stable')
        person = order[np.searchsorted(truth.ids, predictions.ids, sorter=order)]
        away = np.linalg.norm(predictions.keypoints - truth.keypoints[person], axis=-1)
        right = (away < threshold * truth.norms[person][:, None]) & labeled[person]
        return people, float(100 * right.sum() / labeled.sum())


Figure = Union[AveragePrecision, Pckh]
