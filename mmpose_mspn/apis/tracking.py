"""Ids that follow people through the frames of a video, by the greedy trackers of mmpose."""
from functools import partial
from types import SimpleNamespace
from typing import Any, List, Optional, Sequence

import numpy as np

THRESHOLD = 0.3
"""Similarity above which two people of neighboring frames can be the same person: the default of mmpose's demos."""


class Tracker:
    """Gives each person the id of the most similar person of the frame before who is still free, or else a new id.

    Two people are similar by the object keypoint similarity (OKS) of their keypoints with the boxes' areas, or where
    the keypoints' sigmas are not known, by the intersection over union of their boxes. Who is missing in a frame comes
    back with a new id.

    Args:
        sigmas: COCO's sigmas of the K keypoints.
    """

    def __init__(self, sigmas: Optional[Sequence[float]] = None) -> None:
        from mmpose.apis import _track_by_iou, _track_by_oks  # imports mmdet, which takes seconds
        follow_by_oks = partial(_track_by_oks, sigmas=np.asarray(sigmas, np.float64)) if sigmas is not None else None
        self._follow = follow_by_oks or _track_by_iou
        self._last: List[Any] = []
        self._next_id = 0

    def __call__(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray,
                 ids: Optional[Sequence[int]] = None) -> np.ndarray:
        """Ids (N,) of the people of the next frame, from 0.

        Args:
            keypoints: (N, K, 2) in image px.
            scores: (N, K).
            boxes: (N, 4), x, y, width, height in image px.
            ids: The ids, where an earlier run has given them.
        """
        # As mmpose's trackers take them: everything with a leading axis of size 1, and boxes by their corners.
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        people = [SimpleNamespace(pred_instances=SimpleNamespace(
            keypoints=keypoints[[index]], keypoint_scores=scores[[index]], bboxes=corners[[index]],
            areas=boxes[[index], 2] * boxes[[index], 3])) for index in range(len(boxes))]
        free = list(self._last)
        for index, person in enumerate(people):
            if ids is not None:
                person.track_id = ids[index]
            else:
                person.track_id, free, _ = self._follow(person, free, THRESHOLD)
            if person.track_id < 0:
                person.track_id = self._next_id
            self._next_id = max(self._next_id, person.track_id + 1)
        self._last = people
        return np.array([person.track_id for person in people], np.int64)
