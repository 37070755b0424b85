"""Kinds of errors: "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", Ronchi and Perona, 2017.

Section 3 of the paper. A labeled keypoint of a matched person is, by the similarity ks of its prediction (see
``average_precision.py``):

- good, ks >= 0.85 to its own place: as close as human annotators agree;
- jitter, 0.5 <= ks < 0.85;
- else, whichever is nearest: inversion, ks >= 0.5 to the same person's keypoint of the other side; swap, ks >= 0.5 to
  another person's keypoint of that name or of the other side; an inversion where both are equally near;
- else a miss.

This is one reading of the paper. The code that its authors have published (coco-analyze) asks for the nearest place
first: a keypoint is an inversion or a swap whenever another place is nearer than its own, also where its own ks is at
least 0.5. ``rule='published'`` follows it, and counts more inversions and swaps and fewer good ones and jitter.
"""
from dataclasses import dataclass, replace

import numpy as np

from .average_precision import Pairs, keypoint_similarity, match, oks, pairs_of
from .people import KeypointSet, Predictions, Truth

GOOD_FROM = 0.85
"""ks of a good keypoint."""
NEAR_FROM = 0.5
"""ks from which a keypoint is near a place."""
KINDS = ('good', 'jitter', 'inversion', 'swap', 'miss')
"""What the codes 0 to 4 mean; -1: not labeled, or nobody matched."""
GOOD, JITTER, INVERSION, SWAP, MISS = range(len(KINDS))
ERRORS = KINDS[1:]
NO_KIND = -1
RULES = ('own', 'published')
"""Whether a keypoint's own place counts first, or the nearest one, as in the code that the authors published."""

MATCH_FROM = (0.5, 0.1)
"""OKS of a match: first as AP's loosest threshold has it, then of who is left over."""


@dataclass(frozen=True)
class Diagnosis:
    """What became of each prediction and each person.

    Attributes:
        person: (M,), whom the prediction is of, -1 for a false positive.
        prediction: (N,), the inverse, -1 for people who are missed or ignored.
        oks: (M,), to that person; 0 without one.
        passed: (M,), predictions matched to someone who need not be found: no error at all.
        best_oks: (M,), to the most similar person of the image, whoever that is matched to; 0 without people.
        similarity: (M, K), ks to that person's keypoint, NaN where not labeled or without a match.
        kinds: (M, K), codes of :data:`KINDS`.
    """
    person: np.ndarray
    prediction: np.ndarray
    oks: np.ndarray
    passed: np.ndarray
    best_oks: np.ndarray
    similarity: np.ndarray
    kinds: np.ndarray

    @property
    def matched(self) -> np.ndarray:
        """(M,), predictions of someone who is to be found."""
        return (self.person >= 0) & ~self.passed

    @property
    def false_positives(self) -> np.ndarray:
        """(M,), predictions that match no person."""
        return self.person < 0


def diagnose(truth: Truth, predictions: Predictions, keypoints: KeypointSet, by_id: bool = False,
             rule: str = RULES[0]) -> Diagnosis:
    """Match the predictions and name every keypoint's error.

    Args:
        truth: The people.
        predictions: The predictions, ordered.
        keypoints: Their keypoints.
        by_id: A prediction belongs to the person with its id, as in MPII; else they are matched by OKS.
        rule: One of :data:`RULES`.
    """
    pairs = pairs_of(truth, predictions)
    similarity = oks(truth, predictions, keypoints, pairs)
    if by_id:
        person = truth.person_of(predictions.ids)
        passed = truth.ignored[person]
    else:
        person, passed = _by_oks(truth, predictions, similarity)
    is_match = person[pairs.prediction] == pairs.person
    matched_oks, best_oks = np.zeros(len(predictions)), np.zeros(len(predictions))
    matched_oks[pairs.prediction[is_match]] = similarity[is_match]
    counted = ~truth.ignored[pairs.person]
    np.maximum.at(best_oks, pairs.prediction[counted], similarity[counted])
    prediction = np.full(len(truth), -1)
    real = np.flatnonzero((person >= 0) & ~passed)
    prediction[person[real]] = real
    ks, kinds = _kinds(truth, predictions, keypoints, pairs, is_match, rule)
    kinds[passed] = NO_KIND
    return Diagnosis(person, prediction, matched_oks, passed, best_oks, ks, kinds)


def _by_oks(truth: Truth, predictions: Predictions, similarity: np.ndarray) -> tuple:
    """Person and passed, (M,) each. Every threshold matches what the higher one before it left over."""
    person, passed = np.full(len(predictions), -1), np.zeros(len(predictions), bool)
    pairs = pairs_of(truth, predictions)
    for threshold in MATCH_FROM:
        free = np.ones(len(truth), bool)
        free[person[(person >= 0) & ~passed]] = False
        waiting = person < 0
        left = np.where(waiting[pairs.prediction], similarity, -1)
        matches = match(truth, predictions, left, [threshold], free=free)
        new = waiting & (matches.person[0] >= 0)
        person[new], passed[new] = matches.person[0][new], matches.ignored[0][new]
    return person, passed


def _kinds(truth: Truth, predictions: Predictions, keypoints: KeypointSet, pairs: Pairs,
           is_match: np.ndarray, rule: str) -> tuple:
    """Similarity and kinds, (M, K) each."""
    straight = keypoint_similarity(truth, predictions, keypoints, pairs)
    mirrored = keypoint_similarity(truth, predictions, keypoints, pairs, mirrored=True)
    shape = (len(predictions), len(keypoints))
    at_home, opposite, elsewhere = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    at_home[pairs.prediction[is_match]] = straight[is_match]
    has_opposite = keypoints.flip != np.arange(len(keypoints))
    opposite[pairs.prediction[is_match]] = np.where(has_opposite, mirrored[is_match], 0)
    np.maximum.at(elsewhere, pairs.prediction[~is_match], np.maximum(straight, mirrored)[~is_match])
    kinds = np.full(shape, MISS)
    kinds[elsewhere >= NEAR_FROM] = SWAP
    kinds[(opposite >= NEAR_FROM) & (opposite >= elsewhere)] = INVERSION
    nearest_at_home = at_home >= np.maximum(opposite, elsewhere) if rule == 'published' else True
    kinds[(at_home >= NEAR_FROM) & nearest_at_home] = JITTER
    kinds[(at_home >= GOOD_FROM) & nearest_at_home] = GOOD
    labeled = np.zeros(shape, bool)
    labeled[pairs.prediction[is_match]] = truth.labeled[pairs.person[is_match]]
    kinds[~labeled] = NO_KIND
    return np.where(labeled, at_home, np.nan), kinds


def corrected(truth: Truth, predictions: Predictions, diagnosis: Diagnosis, kinds: tuple = ERRORS,
              among: np.ndarray = None) -> Predictions:
    """The predictions with errors put right: these keypoints lie where they are annotated.

    Args:
        kinds: Names of :data:`ERRORS`.
        among: (K,) mask: of these keypoints only.
    """
    wrong = np.isin(diagnosis.kinds, [KINDS.index(kind) for kind in kinds])
    if among is not None:
        wrong &= among
    true_places = truth.keypoints[np.maximum(diagnosis.person, 0)]
    return replace(predictions, keypoints=np.where(wrong[..., None], true_places, predictions.keypoints))


def with_true_scores(predictions: Predictions, diagnosis: Diagnosis) -> Predictions:
    """The predictions scored by what a perfect score would know: the OKS to the person they are of, 0 of none."""
    return replace(predictions, scores=diagnosis.oks).ordered()


def without_false_positives(predictions: Predictions, diagnosis: Diagnosis) -> Predictions:
    """The predictions that are of someone."""
    return predictions.chosen(~diagnosis.false_positives)


def without_missed(truth: Truth, diagnosis: Diagnosis) -> Truth:
    """The people without those who are missed."""
    kept = truth.ignored | (diagnosis.prediction >= 0)
    fields = ('keypoints', 'visible', 'boxes', 'areas', 'norms', 'image', 'ids', 'ignored', 'crowd')
    return replace(truth, **{name: getattr(truth, name)[kept] for name in fields})


def poorly_scored(diagnosis: Diagnosis, truth: Truth, predictions: Predictions, keypoints: KeypointSet) -> np.ndarray:
    """Indices of people of whose predictions (OKS >= 0.5) not the best has the highest score."""
    pairs = pairs_of(truth, predictions)
    similarity = oks(truth, predictions, keypoints, pairs)
    near = (similarity >= NEAR_FROM) & ~truth.ignored[pairs.person]
    people, prediction, close = pairs.person[near], pairs.prediction[near], similarity[near]
    # Who is nearer to another belongs there.
    nearest = close >= diagnosis.best_oks[prediction]
    people, prediction, close = people[nearest], prediction[nearest], close[nearest]
    best = np.zeros(len(truth))
    np.maximum.at(best, people, close)
    highest = np.full(len(truth), -np.inf)
    np.maximum.at(highest, people, predictions.scores[prediction])
    at_top = predictions.scores[prediction] >= highest[people]
    top = np.zeros(len(truth))
    np.maximum.at(top, people[at_top], close[at_top])
    return np.flatnonzero(top < best)
