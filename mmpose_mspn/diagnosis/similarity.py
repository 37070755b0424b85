"""Object keypoint similarity (OKS), keypoint by keypoint, of all pairs of a prediction and a person of an image.

The formula is COCO's: exp(-d² / (2 s² k²)), d the distance, s² the person's area, k twice the keypoint's sigma.
"""
from dataclasses import dataclass
from typing import Optional

import numpy as np

from .people import KeypointSet, Predictions, Truth

SPACING = np.spacing(1)
"""What the COCO API adds to areas, so that none is zero."""


@dataclass(frozen=True)
class Pairs:
    """P pairs of a prediction and a person of the same image.

    Attributes:
        prediction: (P,), index of the prediction.
        person: (P,), index of the person.
    """
    prediction: np.ndarray
    person: np.ndarray


def pairs_of(truth: Truth, predictions: Predictions) -> Pairs:
    """All pairs, by prediction, then by person."""
    first = np.searchsorted(truth.image, predictions.image, 'left')
    counts = np.searchsorted(truth.image, predictions.image, 'right') - first
    prediction = np.repeat(np.arange(len(predictions)), counts)
    place = np.arange(len(prediction)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Pairs(prediction, np.repeat(first, counts) + place)


def keypoint_similarity(truth: Truth, predictions: Predictions, keypoints: KeypointSet, pairs: Pairs,
                        mirrored: bool = False) -> np.ndarray:
    """Similarity (P, K) of each predicted keypoint to the person's, 0 where that is not labeled.

    Args:
        truth: The people.
        predictions: The predictions.
        keypoints: Their keypoints.
        pairs: Which of them to compare.
        mirrored: Compare with the person's keypoint of the other side.
    """
    order = keypoints.flip if mirrored else np.arange(len(keypoints))
    away = predictions.keypoints[pairs.prediction] - truth.keypoints[pairs.person][:, order]
    similarity = _similarity((away**2).sum(-1), truth, keypoints.sigmas[order], pairs)
    return np.where(truth.labeled[pairs.person][:, order], similarity, 0)


def oks(truth: Truth, predictions: Predictions, keypoints: KeypointSet, pairs: Pairs,
        among: Optional[np.ndarray] = None) -> np.ndarray:
    """OKS (P,): the mean similarity of a person's labeled keypoints.

    To someone without any, a prediction is compared by how far its keypoints lie outside the box of twice the size.

    Args:
        truth: The people.
        predictions: The predictions.
        keypoints: Their keypoints.
        pairs: Which of them to compare.
        among: (K,) mask: count these keypoints as labeled at most.
    """
    labeled = truth.labeled if among is None else truth.labeled & among
    counted = labeled[pairs.person]
    similarity = keypoint_similarity(truth, predictions, keypoints, pairs)
    count = counted.sum(1)
    result = (similarity * counted).sum(1) / np.maximum(count, 1)
    unlabeled = np.flatnonzero(count == 0)
    if len(unlabeled):
        few = Pairs(pairs.prediction[unlabeled], pairs.person[unlabeled])
        result[unlabeled] = _similarity(_outside(truth, predictions, few), truth, keypoints.sigmas, few).mean(1)
    return result


def _similarity(squared: np.ndarray, truth: Truth, sigmas: np.ndarray, pairs: Pairs) -> np.ndarray:
    """From squared distances (P, K)."""
    variances = (sigmas * 2)**2
    return np.exp(-squared / variances / (truth.areas[pairs.person] + SPACING)[:, None] / 2)


def _outside(truth: Truth, predictions: Predictions, pairs: Pairs) -> np.ndarray:
    """Squared distance (P, K) of the keypoints from the person's box with a box of its size on each side."""
    box = truth.boxes[pairs.person]
    low, high = box[:, None, :2] - box[:, None, 2:], box[:, None, :2] + 2 * box[:, None, 2:]
    points = predictions.keypoints[pairs.prediction]
    away = np.maximum(0, low - points) + np.maximum(0, points - high)
    return (away**2).sum(-1)
