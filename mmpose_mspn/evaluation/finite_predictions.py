"""A check that predictions are numbers."""
from typing import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric


class FinitePredictionsMixin(BaseMetric):
    """For metrics: stop at the first prediction that is not finite.

    The COCO evaluation counts a keypoint at NaN as right, so that a broken network would reach an AP of 1.

    Raises:
        ValueError: A keypoint, its score or the score of a box is NaN or infinite.
    """

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Check the samples of a batch, and pass them on."""
        for sample in data_samples:
            check_finite(sample)
        super().process(data_batch, data_samples)


def check_finite(sample: dict) -> None:
    """Refuse a sample whose predictions are not finite."""
    predicted = sample.get('pred_instances') or {}
    for field in ('keypoints', 'keypoint_scores', 'bbox_scores'):
        if field in predicted and not np.isfinite(np.asarray(predicted[field], float)).all():
            place = sample.get('img_path') or sample.get('img_id')
            raise ValueError(f'the predicted {field} for image {place} (id {sample.get("id")}) are not finite: the '
                             'network has diverged or its checkpoint is broken; take another checkpoint')
