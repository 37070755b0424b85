"""AP and AR by the rules of the COCO API, for all images at once, so that a diagnosis can afford dozens of them.

Object keypoint similarity (OKS) is COCO's: exp(-d² / (2 s² k²)), d the distance, s² the person's area, k twice the
keypoint's sigma. Here it is kept keypoint by keypoint, for all pairs of a prediction and a person of an image.
"""
from dataclasses import asdict, dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from .people import KeypointSet, Predictions, Truth

# ---------------------------------------------------------------- similarity

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


# ---------------------------------------------------------------- average precision

THRESHOLDS = np.linspace(.5, .95, 10)
"""OKS from which a prediction counts as right."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is read."""
MOST = 20
"""Predictions of an image that count, those of the highest scores."""


@dataclass(frozen=True)
class Precision:
    """AP and AR, 0 to 1; ``None`` where nobody is to be found.

    Attributes:
        people: Those who are to be found.
        ap: Mean of precision over recalls and :data:`THRESHOLDS`.
        ap50: At the threshold 0.5.
        ap75: At the threshold 0.75.
        ar: Mean of the highest recall over :data:`THRESHOLDS`.
    """
    people: int
    ap: Optional[float]
    ap50: Optional[float]
    ap75: Optional[float]
    ar: Optional[float]

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Matches:
    """Who belongs together, by falling score, at each of T thresholds.

    Attributes:
        person: (T, M), the person matched to each prediction, -1 none.
        ignored: (T, M), predictions that count neither as right nor as wrong: matched to someone ignored.
        rank: (M,), a prediction's place by score in its image, from 0.
    """
    person: np.ndarray
    ignored: np.ndarray
    rank: np.ndarray


def ranks(predictions: Predictions) -> np.ndarray:
    """(M,), a prediction's place in its image, from 0."""
    first = np.searchsorted(predictions.image, predictions.image, 'left')
    return np.arange(len(predictions)) - first


def match(truth: Truth, predictions: Predictions, similarity: np.ndarray, thresholds: Sequence[float],
          ignored: Optional[np.ndarray] = None, free: Optional[np.ndarray] = None) -> Matches:
    """Match predictions to people by falling score, each to the most similar person that is still free.

    Of people who tie, the last one wins; someone to be found goes before someone ignored: COCO's rules.

    Args:
        similarity: (P,), OKS of all pairs.
        thresholds: T values of OKS from which a pair may match.
        ignored: (N,), who need not be found; by default the truth's.
        free: (N,), who may be matched; by default everyone.
    """
    ignored = truth.ignored if ignored is None else ignored
    thresholds = np.minimum(np.asarray(thresholds, np.float64), 1 - 1e-10)
    pairs, rank = pairs_of(truth, predictions), ranks(predictions)
    shape = (len(thresholds), len(predictions))
    person, passed = np.full(shape, -1), np.zeros(shape, bool)
    used = rank[pairs.prediction] < MOST
    # Pairs below every threshold do not match.
    used &= similarity >= thresholds.min()
    if free is not None:
        used &= free[pairs.person]
    if not used.any():
        return Matches(person, passed, rank)
    images, row = np.unique(predictions.image[pairs.prediction[used]], return_inverse=True)
    first = np.searchsorted(truth.image, images, 'left')
    slots = int((np.searchsorted(truth.image, images, 'right') - first).max())
    slot = pairs.person[used] - first[row]
    dense = np.full((len(images), min(MOST, int(rank.max()) + 1), slots), -1.)
    dense[row, rank[pairs.prediction[used]], slot] = similarity[used]
    number = np.full(dense.shape[:2], -1)
    number[row, rank[pairs.prediction[used]]] = pairs.prediction[used]
    exists = first[:, None] + np.arange(slots)
    exists = np.minimum(exists, len(truth) - 1)
    off, crowd = ignored[exists], truth.crowd[exists]
    taken = np.zeros((len(images), len(thresholds), slots), bool)
    for place in range(dense.shape[1]):
        here = np.flatnonzero(number[:, place] >= 0)
        candidates = dense[here, place][:, None, :]
        open_ = (candidates >= thresholds[:, None]) & ~(taken[here] & ~crowd[here][:, None, :])
        matched, chosen = _best(candidates, open_ & ~off[here][:, None, :])
        matched_off, chosen_off = _best(candidates, open_ & off[here][:, None, :])
        chosen = np.where(matched, chosen, chosen_off)
        matched_off &= ~matched
        matched |= matched_off
        who, at = np.nonzero(matched)
        taken[here[who], at, chosen[who, at]] = True
        predicted = number[here, place]
        person[at, predicted[who]] = first[here[who]] + chosen[who, at]
        passed[at, predicted[who]] = matched_off[who, at]
    return Matches(person, passed, rank)


def _best(candidates: np.ndarray, allowed: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Whether any of the last axis is allowed, and which of them is highest, the last of equals."""
    values = np.where(allowed, candidates, -1)
    return allowed.any(-1), values.shape[-1] - 1 - values[..., ::-1].argmax(-1)


def average_precision(truth: Truth,
                      predictions: Predictions,
                      keypoints: KeypointSet,
                      among: Optional[np.ndarray] = None,
                      counted: Optional[np.ndarray] = None,
                      area_range: Optional[Tuple[float, float]] = None,
                      own_images: bool = False) -> Precision:
    """AP and AR of predictions.

    Args:
        among: (K,) mask: only these keypoints count, and only people who have one of them labeled.
        counted: (N,) mask: only these people are to be found; who matches another counts neither as right nor wrong.
        area_range: Lowest and highest area in px²: only people within are to be found, and only predictions whose
            keypoints' extent lies within can be false.
        own_images: Leave images out in which nobody is to be found.
    """
    ignored = truth.ignored.copy()
    if among is not None:
        ignored |= ~(truth.labeled & among).any(1)
    if counted is not None:
        ignored |= ~counted
    if area_range is not None:
        ignored |= (truth.areas < area_range[0]) | (truth.areas > area_range[1])
    people = int((~ignored).sum())
    if not people:
        return Precision(0, None, None, None, None)
    if own_images:
        wanted = np.zeros(len(truth.images), bool)
        wanted[truth.image[~ignored]] = True
        predictions = predictions.chosen(wanted[predictions.image])
    similarity = oks(truth, predictions, keypoints, pairs_of(truth, predictions), among)
    matches = match(truth, predictions, similarity, THRESHOLDS, ignored)
    right = (matches.person >= 0) & ~matches.ignored
    wrong = matches.person < 0
    if area_range is not None:
        areas = predictions.areas
        wrong &= (areas >= area_range[0]) & (areas <= area_range[1])
    order = np.flatnonzero(matches.rank < MOST)
    order = order[np.argsort(-predictions.scores[order], kind='stable')]
    precision, recall = _curves(right[:, order], wrong[:, order], people)
    return Precision(people, float(precision.mean()), float(precision[0].mean()), float(precision[5].mean()),
                     float(recall.mean()))


def _curves(right: np.ndarray, wrong: np.ndarray, people: int) -> Tuple[np.ndarray, np.ndarray]:
    """Precision (T, R) at :data:`RECALLS` and the highest recall (T,), from predictions (T, M) by falling score."""
    hits, misses = right.cumsum(1).astype(np.float64), wrong.cumsum(1).astype(np.float64)
    precision = np.zeros((len(right), len(RECALLS)))
    if not right.shape[1]:
        return precision, np.zeros(len(right))
    recall = hits / people
    share = hits / (misses + hits + np.spacing(1))
    share = np.maximum.accumulate(share[:, ::-1], 1)[:, ::-1]
    for index in range(len(right)):
        places = np.searchsorted(recall[index], RECALLS, 'left')
        reached = places < right.shape[1]
        precision[index, reached] = share[index, places[reached]]
    return precision, recall[:, -1]
