"""What is known about keypoints that have COCO's names: their sigmas and their half of the body."""
import warnings
from functools import lru_cache
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.new_dataset.names import Words, words_of

DEFAULT_SIGMA = 0.05
"""Sigma of a keypoint that COCO does not have. With it an OKS of 0.5 is a distance of 0.118 times the root of the
object's area, about what PCK@0.1 asks for. COCO's own are 0.025 (eyes) to 0.107 (hips)."""
UPPER, LOWER = 'upper', 'lower'
HIP = 'hip'


class CocoKeypoint(NamedTuple):
    """A keypoint of COCO."""
    name: str
    sigma: float
    half: str  # of the body in mmpose's metainfo


@lru_cache
def coco_keypoints() -> Dict[Words, CocoKeypoint]:
    """COCO's keypoints as mmpose's metainfo has them, by the words of their names."""
    with warnings.catch_warnings():  # that the file is taken from mmpose's package
        warnings.simplefilter('ignore')
        meta = parse_pose_metainfo(CocoDataset.METAINFO)
    return {words_of(name): CocoKeypoint(name, round(float(meta['sigmas'][index]), 6),
                                         UPPER if index in meta['upper_body_ids'] else LOWER)
            for index, name in meta['keypoint_id2name'].items()}


def of_coco(name: str) -> Optional[CocoKeypoint]:
    """COCO's keypoint of that name, whatever the spelling (``L_Eye`` is ``left_eye``), or ``None``."""
    return coco_keypoints().get(words_of(name))


def official_upper_ids(names: Sequence[str]) -> Optional[Tuple[int, ...]]:
    """Indices of the upper keypoints for half-body crops; ``None`` unless the half of every keypoint is known.

    The official protocol counts the hips to the upper half (docs/protocol.md, "Training protocol"), mmpose's metainfo
    to the lower one.
    """
    known = [of_coco(name) for name in names]
    if not all(known):
        return None
    return tuple(index for index, keypoint in enumerate(known)
                 if keypoint.half == UPPER or HIP in words_of(keypoint.name))
