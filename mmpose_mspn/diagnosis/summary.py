"""The numbers of a diagnosis, from annotated people and predictions alone."""
from typing import Dict, List, Optional

import numpy as np

from .errors import (
    ERRORS,
    KINDS,
    NO_KIND,
    Diagnosis,
    corrected,
    poorly_scored,
    with_true_scores,
    without_false_positives,
    without_missed,
)
from .figures import Figure, Group, groups, parts
from .people import KeypointSet, Predictions, Truth

# ---------------------------------------------------------------- calibration

BINS = 10


def calibration(scores: np.ndarray, similarity: np.ndarray) -> dict:
    """How similarity goes with the score.

    Args:
        scores: (M,) of predictions or keypoints.
        similarity: (M,) their OKS or keypoint similarity, 0 to 1.

    Returns:
        ``bins``: by rising score, ``count``, ``score_from``, ``score_to``, the mean ``score`` and the mean
        ``similarity``; ``rank_correlation``: Spearman's, -1 to 1, 1 where every higher score is a higher similarity,
        ``None`` where it is not defined.
    """
    return dict(bins=_bins(scores, similarity), rank_correlation=_rank_correlation(scores, similarity))


def _bins(scores: np.ndarray, similarity: np.ndarray) -> List[dict]:
    order = np.argsort(scores, kind='stable')
    return [
        dict(count=len(rows), score_from=float(scores[rows[0]]), score_to=float(scores[rows[-1]]),
             score=float(scores[rows].mean()), similarity=float(similarity[rows].mean()))
        for rows in np.array_split(order, BINS) if len(rows)
    ]


def _rank_correlation(scores: np.ndarray, similarity: np.ndarray):
    if len(scores) < 2 or (scores == scores[0]).all() or (similarity == similarity[0]).all():
        return None
    from scipy.stats import spearmanr  # here, because it takes half a second
    return float(spearmanr(scores, similarity).statistic)


# ---------------------------------------------------------------- summary

PCK_SHARES = {'bbox': (0.05, 0.2), 'head': (0.5, 0.1)}
"""Distances that PCK allows, in shares of the longer side of a person's box or of the head's size."""
DUPLICATE_FROM = 0.5
"""OKS to someone from which a false positive is a second prediction of that person."""


def summarize(truth: Truth, predictions: Predictions, keypoints: KeypointSet, figure: Figure,
              diagnosis: Diagnosis) -> dict:
    """Everything of a diagnosis that needs neither pictures nor the network.

    Args:
        figure: What the data set is judged by.

    Returns:
        ``figure`` (``name``, ``value``), ``counts``, ``keypoints``, ``errors``, ``corrections``, ``parts``,
        ``groups`` and ``calibration``; docs/diagnose.md says what each holds.
    """
    value = figure(truth, predictions)
    return dict(
        figure=dict(name=figure.name, value=value),
        counts=_counts(truth, predictions, keypoints, diagnosis),
        keypoints=_by_keypoint(truth, predictions, keypoints, diagnosis, 'head' if figure.by_id else 'bbox'),
        errors=error_counts(diagnosis.kinds),
        corrections=_corrections(truth, predictions, figure, diagnosis, value),
        parts=_parts(truth, predictions, keypoints, figure, diagnosis, value),
        groups=_groups(truth, predictions, keypoints, figure),
        calibration=_calibration(predictions, diagnosis))


def error_counts(kinds: np.ndarray) -> Dict[str, int]:
    """How many keypoints are of each of :data:`KINDS`."""
    return {kind: int((kinds == code).sum()) for code, kind in enumerate(KINDS)}


def error_shares(kinds: np.ndarray) -> Dict[str, Optional[float]]:
    """The share of each of :data:`KINDS`, 0 to 1, in the keypoints that are of one."""
    counts = error_counts(kinds)
    total = sum(counts.values())
    return {kind: count / total if total else None for kind, count in counts.items()}


def _counts(truth: Truth, predictions: Predictions, keypoints: KeypointSet, diagnosis: Diagnosis) -> Dict[str, int]:
    counted = ~truth.ignored
    false_positives = diagnosis.false_positives
    duplicates = false_positives & (diagnosis.best_oks >= DUPLICATE_FROM)
    return dict(
        images=len(truth.images),
        people=int(counted.sum()),
        ignored=int(truth.ignored.sum()),
        predictions=len(predictions),
        matched=int(diagnosis.matched.sum()),
        missed=int((counted & (diagnosis.prediction < 0)).sum()),
        false=int(false_positives.sum()),
        duplicates=int(duplicates.sum()),
        background=int((false_positives & ~duplicates).sum()),
        passed=int(diagnosis.passed.sum()),
        poorly_scored=len(poorly_scored(diagnosis, truth, predictions, keypoints)))


def _by_keypoint(truth: Truth, predictions: Predictions, keypoints: KeypointSet, diagnosis: Diagnosis,
                 norm: str) -> List[dict]:
    """Of each keypoint, over matched people; PCK also counts the keypoints of missed people, as wrong."""
    matched = np.flatnonzero(diagnosis.matched)
    people = diagnosis.person[matched]
    away = np.linalg.norm(predictions.keypoints[matched] - truth.keypoints[people], axis=-1)
    away = away / np.maximum(truth.norms[people], 1e-9)[:, None]
    labeled = truth.labeled[people]
    asked = truth.labeled & ~truth.ignored[:, None]
    rows = []
    for index, name in enumerate(keypoints.names):
        total, here = int(asked[:, index].sum()), labeled[:, index]
        similarity = diagnosis.similarity[matched, index]
        rows.append(dict(
            name=name,
            sigma=float(keypoints.sigmas[index]),
            labeled=total,
            missed=total - int(here.sum()),
            similarity=float(similarity[here].mean()) if here.any() else None,
            pck={str(share): float((away[here, index] < share).sum() / total) if total else None
                 for share in PCK_SHARES[norm]},
            shares=error_shares(diagnosis.kinds[:, index]),
            **error_counts(diagnosis.kinds[:, index])))
    return rows


def _corrections(truth: Truth, predictions: Predictions, figure: Figure, diagnosis: Diagnosis,
                 value: Optional[float]) -> List[dict]:
    """The figure once each kind of error alone is put right, and once all keypoints are."""
    entries = []

    def add(name: str, what: str, count: int, of_truth: Truth, of_predictions: Predictions) -> None:
        entries.append(_correction(name, what, count, figure(of_truth, of_predictions), value))

    counts = error_counts(diagnosis.kinds)
    for kind in ERRORS:
        add(kind, 'keypoints', counts[kind], truth, corrected(truth, predictions, diagnosis, (kind, )))
    add('all keypoints', 'keypoints', sum(counts[kind] for kind in ERRORS), truth,
        corrected(truth, predictions, diagnosis))
    missed = int((~truth.ignored & (diagnosis.prediction < 0)).sum())
    add('missed people', 'people', missed, without_missed(truth, diagnosis), predictions)
    if not figure.by_id:
        add('false boxes', 'boxes', int(diagnosis.false_positives.sum()), truth,
            without_false_positives(predictions, diagnosis))
        add('poor scores', 'people', len(poorly_scored(diagnosis, truth, predictions, figure.keypoints)), truth,
            with_true_scores(predictions, diagnosis))
    return entries


def _correction(name: str, what: str, count: int, corrected_value: Optional[float], value: Optional[float]) -> dict:
    gain = None if corrected_value is None or value is None else corrected_value - value
    return dict(name=name, of=what, count=count, value=corrected_value, gain=gain)


def _parts(truth: Truth, predictions: Predictions, keypoints: KeypointSet, figure: Figure, diagnosis: Diagnosis,
           value: Optional[float]) -> List[dict]:
    """What the correction of each part of the body would give, by kind of error and of all kinds."""
    rows = []
    for name, mask in parts(keypoints).items():
        counts = error_counts(diagnosis.kinds[:, mask])
        gains = {}
        for label, kinds in [*((kind, (kind, )) for kind in ERRORS), ('all', ERRORS)]:
            # Nothing to put right changes nothing.
            changed = any(counts[kind] for kind in kinds)
            after = figure(truth, corrected(truth, predictions, diagnosis, kinds, mask)) if changed else value
            gains[label] = None if after is None or value is None else after - value
        rows.append(dict(name=name, keypoints=[keypoints.names[index] for index in np.flatnonzero(mask)],
                         counts=counts, gains=gains))
    return rows


def _groups(truth: Truth, predictions: Predictions, keypoints: KeypointSet, figure: Figure) -> Dict[str, List[dict]]:
    rows: Dict[str, List[dict]] = {}
    for group in [Group('everyone', 'all'), *groups(truth, keypoints)]:
        rows.setdefault(group.kind, []).append(dict(name=group.name, **figure.of_group(truth, predictions, group)))
    return rows


def _calibration(predictions: Predictions, diagnosis: Diagnosis) -> dict:
    """Of people: score and OKS of everything predicted; of keypoints: those of matched people."""
    counted = ~diagnosis.passed
    labeled = diagnosis.kinds != NO_KIND
    return dict(
        people=calibration(predictions.scores[counted], diagnosis.oks[counted]),
        keypoints=calibration(predictions.keypoint_scores[labeled], diagnosis.similarity[labeled]))
