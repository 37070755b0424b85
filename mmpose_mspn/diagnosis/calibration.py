"""Whether scores tell how good predictions are: similarity by score, in bins of equally many predictions."""
from typing import List

import numpy as np

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
