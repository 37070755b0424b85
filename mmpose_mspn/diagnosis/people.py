"""Annotated people, predictions and the facts of their keypoints, as arrays."""
from dataclasses import dataclass, field
from typing import Mapping, Optional, Tuple

import numpy as np

from mmpose_mspn.utils.errors import ConfigError


@dataclass(frozen=True)
class KeypointSet:
    """The facts of K keypoints.

    Attributes:
        names: K names.
        sigmas: (K,), how far annotators disagree, in shares of a person's scale: OKS divides by them.
        flip: (K,), the index of each keypoint's counterpart on the other side, or its own.
        links: Pairs of indices, the skeleton.
        regions: Indices of larger parts of the body, by name: those of ``'upper body'`` and ``'lower body'``.
    """
    names: Tuple[str, ...]
    sigmas: np.ndarray
    flip: np.ndarray
    links: Tuple[Tuple[int, int], ...] = ()
    regions: Mapping[str, Tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_metainfo(cls, meta: dict) -> 'KeypointSet':
        """From what a dataset of mmpose calls its ``metainfo``.

        Raises:
            ConfigError: It has no sigmas, or not one for each keypoint.
        """
        names = tuple(meta['keypoint_id2name'][index] for index in range(len(meta['keypoint_id2name'])))
        sigmas = np.asarray(meta.get('sigmas', ()), np.float64)
        if sigmas.shape != (len(names), ) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
            raise ConfigError(f'metainfo must have one of sigmas > 0 for each of its {len(names)} keypoints, got '
                              f'{sigmas.tolist()}: OKS divides by them')
        links = tuple((int(start), int(end)) for start, end in meta['skeleton_links'])
        regions = {f'{region} body': tuple(meta.get(f'{region}_body_ids') or ()) for region in ('upper', 'lower')}
        return cls(names, sigmas, np.asarray(meta['flip_indices'], np.int64), links,
                   {name: ids for name, ids in regions.items() if ids})


@dataclass(frozen=True)
class Image:
    """An image of the data set; ``path`` and the size in px are ``None`` where they are not known."""
    id: int
    file: str
    path: Optional[str]
    width: Optional[int]
    height: Optional[int]


@dataclass(frozen=True)
class Truth:
    """N annotated people, in the order of their images' ids.

    Attributes:
        keypoints: (N, K, 2) in image px.
        visible: (N, K), above 0 where labeled.
        boxes: (N, 4), x, y, width, height in image px.
        areas: (N,) in px², the square of a person's scale in OKS.
        norms: (N,) in px, the length that PCK measures with.
        image: (N,), index into ``images``, ascending.
        ids: (N,), the annotations' ids.
        ignored: (N,), who need not be found: crowds, and people without a labeled keypoint.
        crowd: (N,), whom any number of predictions may match.
        images: The images, in the order of their ids.
        file: What messages call the annotations.
    """
    keypoints: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    norms: np.ndarray
    image: np.ndarray
    ids: np.ndarray
    ignored: np.ndarray
    crowd: np.ndarray
    images: Tuple[Image, ...]
    file: str

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labeled(self) -> np.ndarray:
        """(N, K), whether the keypoint is labeled."""
        return self.visible > 0

    def person_of(self, ids: np.ndarray) -> np.ndarray:
        """(M,), the indices of the people with these (M,) ids, which must be theirs."""
        order = np.argsort(self.ids, kind='stable')
        return order[np.searchsorted(self.ids, ids, sorter=order)]


@dataclass(frozen=True)
class Predictions:
    """M predicted people, by image, and within an image by falling score.

    Attributes:
        keypoints: (M, K, 2) in image px.
        keypoint_scores: (M, K).
        scores: (M,).
        boxes: (M, 4), x, y, width, height: what the prediction was made in, else the extent of its keypoints.
        image: (M,), index into the truth's images, ascending.
        ids: (M,), the place in the results file; of MPII, the person's place in the annotation file.
    """
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    image: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def areas(self) -> np.ndarray:
        """(M,) in px²: of the keypoints' extent, as the COCO API gives results an area."""
        return np.prod(extents(self.keypoints)[:, 2:], axis=1)

    def chosen(self, rows: np.ndarray) -> 'Predictions':
        """Those of the indices or the mask ``rows``."""
        return Predictions(self.keypoints[rows], self.keypoint_scores[rows], self.scores[rows], self.boxes[rows],
                           self.image[rows], self.ids[rows])

    def ordered(self) -> 'Predictions':
        """By image and falling score; of equal scores the earlier stays first."""
        return self.chosen(np.lexsort((np.arange(len(self)), -self.scores, self.image)))


def extents(keypoints: np.ndarray) -> np.ndarray:
    """Boxes (N, 4), x, y, width, height, around keypoints (N, K, 2)."""
    low, high = keypoints.min(1), keypoints.max(1)
    return np.concatenate([low, high - low], 1)
