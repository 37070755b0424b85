"""The one figure that a data set is judged by, of any predictions and of groups of keypoints and people.

COCO's AP goes with people who are matched by similarity, MPII's PCKh with people who are given.
"""
import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple, Union

import numpy as np

from .average_precision import average_precision
from .people import KeypointSet, Predictions, Truth

# ---------------------------------------------------------------- groups of keypoints and of people

SIDE = re.compile(r'^(left|right|l|r)[_\- ]+|[_\- ]+(left|right|l|r)$', re.IGNORECASE)
NUMBER = re.compile(r'[_\- ]*\d+$')
MOST_PARTS = 24
"""Parts of the body from which on numbered keypoints, such as a face's, count as one part."""
AREAS = {'small': (0., 32.**2), 'medium': (32.**2, 96.**2), 'large': (96.**2, 1e10)}
"""COCO's sizes in px²."""
OVERLAPS = {'alone': (0., 0.), 'overlap up to 0.1': (0., 0.1), 'overlap 0.1 to 0.3': (0.1, 0.3),
            'overlap over 0.3': (0.3, 1.)}
"""Crowding: from above the first up to the second share (intersection over union) of another person's box."""
EDGE = 1.
"""px from the image's border within which a box counts as truncated."""


@dataclass(frozen=True)
class Group:
    """Keypoints or people that are looked at apart.

    Attributes:
        kind: What it groups by.
        name: Which of that kind.
        among: (K,) mask of keypoints; ``None``: all.
        counted: (N,) mask of people; ``None``: all.
        area_range: Lowest and highest area in px²; ``None``: all.
    """
    kind: str
    name: str
    among: Optional[np.ndarray] = None
    counted: Optional[np.ndarray] = None
    area_range: Optional[Tuple[float, float]] = None


def parts(keypoints: KeypointSet) -> Dict[str, np.ndarray]:
    """Masks (K,) of the parts of the body, both sides together, in the keypoints' order."""
    stems = _stems(keypoints)
    if len(set(stems)) > MOST_PARTS:
        stems = [NUMBER.sub('', stem) or stem for stem in stems]
    return {part: np.array([stem == part for stem in stems]) for part in dict.fromkeys(stems)}


def _stems(keypoints: KeypointSet) -> List[str]:
    """Names without the side; both of a pair have the name of the first."""
    stems: List[str] = []
    for index, name in enumerate(keypoints.names):
        first = min(index, int(keypoints.flip[index]))
        stems.append(stems[first] if first < index else SIDE.sub('', name) if keypoints.flip[index] != index else name)
    return stems


def groups(truth: Truth, keypoints: KeypointSet) -> List[Group]:
    """All groups of a data set."""
    rows = [Group('keypoints', name, among=mask) for name, mask in parts(keypoints).items()]
    for name, ids in keypoints.regions.items():
        rows.append(Group('keypoints', name, among=np.isin(np.arange(len(keypoints)), ids)))
    rows += [Group('size', name, area_range=limits) for name, limits in AREAS.items()]
    overlap = overlaps(truth)
    for name, (low, high) in OVERLAPS.items():
        within = overlap == 0 if high == 0 else (overlap > low) & (overlap <= high)
        rows.append(Group('crowding', name, counted=within))
    count = truth.labeled.sum(1)
    for low, high in _quarters(len(keypoints)):
        rows.append(Group('labeled keypoints', f'{low} to {high}', counted=(count >= low) & (count <= high)))
    cut = truncated(truth)
    if cut is not None:
        rows += [Group('truncation', 'inside the image', counted=~cut),
                 Group('truncation', 'cut by its border', counted=cut)]
    return rows


def _quarters(count: int) -> List[Tuple[int, int]]:
    """First and last number of four equal ranges of 1 to ``count``, fewer where that is below 4."""
    ends = sorted({round(count * quarter / 4) for quarter in range(5)})
    return [(low + 1, high) for low, high in zip(ends, ends[1:])]


def overlaps(truth: Truth) -> np.ndarray:
    """(N,) the highest intersection over union of a person's box with that of another of the image, crowds left out."""
    result = np.zeros(len(truth))
    low, high = truth.boxes[:, :2], truth.boxes[:, :2] + truth.boxes[:, 2:]
    area = truth.boxes[:, 2:].prod(1)
    edges = np.searchsorted(truth.image, np.arange(len(truth.images) + 1))
    for start, end in zip(edges, edges[1:]):
        if end - start < 2:
            continue
        here = slice(start, end)
        shared = np.minimum(high[here, None], high[None, here]) - np.maximum(low[here, None], low[None, here])
        shared = np.maximum(shared, 0).prod(-1)
        union = area[here, None] + area[None, here] - shared
        ratio = shared / np.maximum(union, 1e-9)
        np.fill_diagonal(ratio, 0)
        ratio[:, truth.crowd[here]] = 0
        result[here] = ratio.max(1)
    return result


def truncated(truth: Truth) -> Optional[np.ndarray]:
    """(N,), whose box reaches the border of the image; ``None`` where an image's size is not known."""
    if any(image.width is None or image.height is None for image in truth.images):
        return None
    sizes = np.array([(image.width, image.height) for image in truth.images], np.float64).reshape(-1, 2)[truth.image]
    low, high = truth.boxes[:, :2], truth.boxes[:, :2] + truth.boxes[:, 2:]
    return (low <= EDGE).any(1) | (high >= sizes - EDGE).any(1)


# ---------------------------------------------------------------- figures

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

        False positives count in the images that hold someone of the group; of a size, COCO's rule holds.
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
        person = truth.person_of(predictions.ids)
        away = np.linalg.norm(predictions.keypoints - truth.keypoints[person], axis=-1)
        right = (away < threshold * truth.norms[person][:, None]) & labeled[person]
        return people, float(100 * right.sum() / labeled.sum())


Figure = Union[AveragePrecision, Pckh]
