"""One record per person and per false positive, and which of them are worth a look."""
from typing import List, Optional

import numpy as np

from .errors import ERRORS, KINDS, NO_KIND, Diagnosis
from .figures import overlaps, truncated
from .people import Predictions, Truth
from .summary import DUPLICATE_FROM, error_counts

MATCHED, MISSED, FALSE = 'matched', 'missed', 'false'
SHARES = {MATCHED: 0.7, MISSED: 0.15, FALSE: 0.15}
"""Shares of the kinds among the cases that are shown, if there are that many of each."""


def cases(truth: Truth, predictions: Predictions, diagnosis: Diagnosis) -> List[dict]:
    """All cases, the worst first: people by rising OKS, then false positives by falling score.

    Returns:
        Per case ``id``, ``status`` (``'matched'``, ``'missed'`` or ``'false'``), ``image_id``, ``file``, ``person``
        (the annotation's id), ``prediction`` (the place in the results file), ``oks``, ``score``, ``box`` (x, y, width,
        height), ``predicted_box``, ``area`` in px², ``labeled`` (number of keypoints), ``overlap``, ``truncated``,
        ``duplicate`` (of a false positive: of someone found already), ``errors`` by kind, and of each keypoint
        ``truth`` (x, y, visibility), ``predicted`` (x, y, score), ``kinds`` and ``similarity``. All places are image
        px. What does not apply is ``None``.
    """
    overlap, cut = overlaps(truth), truncated(truth)
    records = []
    for person in np.flatnonzero(~truth.ignored):
        row = int(diagnosis.prediction[person])
        record = _record(truth, predictions, diagnosis, row if row >= 0 else None)
        record.update(_of_person(truth, int(person)))
        record.update(id=f'person-{truth.ids[person]}', status=MATCHED if row >= 0 else MISSED,
                      overlap=round(float(overlap[person]), 4), truncated=None if cut is None else bool(cut[person]))
        records.append(record)
    records.sort(key=lambda record: record['oks'] or 0.)
    for row in np.flatnonzero(diagnosis.false_positives):
        record = _record(truth, predictions, diagnosis, int(row))
        record.update(id=f'prediction-{predictions.ids[row]}', status=FALSE,
                      duplicate=bool(diagnosis.best_oks[row] >= DUPLICATE_FROM), oks=None, errors=None)
        records.append(record)
    # Stable: people stay in their order.
    return sorted(records, key=lambda record: -record['score'] if record['status'] == FALSE else -np.inf)


def worst(records: List[dict], count: int) -> List[dict]:
    """``count`` cases, or all if there are fewer: mostly the worst of matched people, also of the other two kinds."""
    by_status = {status: [record for record in records if record['status'] == status] for status in SHARES}
    chosen: List[dict] = []
    for status, share in SHARES.items():
        if status != MATCHED:
            chosen += by_status[status][:round(count * share)]
    chosen = by_status[MATCHED][:count - len(chosen)] + chosen
    taken = {record['id'] for record in chosen}
    rest = [record for record in records if record['id'] not in taken]
    return chosen + rest[:count - len(chosen)]


def empty_record(**known: object) -> dict:
    """A case of which only these entries apply; see :func:`cases`."""
    unknown = dict(id=None, status=None, image_id=None, file=None, person=None, prediction=None, oks=None, score=None,
                   box=None, predicted_box=None, area=None, labeled=None, overlap=None, truncated=None, duplicate=None,
                   errors=None, truth=None, predicted=None, kinds=None, similarity=None)
    return dict(unknown, **known)


def _record(truth: Truth, predictions: Predictions, diagnosis: Diagnosis, row: Optional[int]) -> dict:
    record = empty_record()
    if row is None:
        return record
    kinds, similarity = diagnosis.kinds[row], diagnosis.similarity[row]
    image = truth.images[predictions.image[row]]
    counts = error_counts(kinds)
    record.update(
        image_id=image.id,
        file=image.file,
        prediction=int(predictions.ids[row]),
        oks=round(float(diagnosis.oks[row]), 4),
        score=round(float(predictions.scores[row]), 4),
        predicted_box=_rounded(predictions.boxes[row]),
        errors={kind: counts[kind] for kind in ERRORS},
        predicted=_rounded(np.concatenate([predictions.keypoints[row], predictions.keypoint_scores[row][:, None]], 1)),
        kinds=[None if code == NO_KIND else KINDS[code] for code in kinds],
        similarity=[None if np.isnan(value) else round(float(value), 4) for value in similarity])
    return record


def _of_person(truth: Truth, person: int) -> dict:
    image = truth.images[truth.image[person]]
    return dict(
        image_id=image.id,
        file=image.file,
        person=int(truth.ids[person]),
        box=_rounded(truth.boxes[person]),
        area=round(float(truth.areas[person]), 1),
        labeled=int(truth.labeled[person].sum()),
        truth=_rounded(np.concatenate([truth.keypoints[person], truth.visible[person][:, None]], 1)))


def _rounded(values: np.ndarray) -> list:
    """Hundredths of a px, and scores to as many places."""
    return np.round(values, 2).tolist()
