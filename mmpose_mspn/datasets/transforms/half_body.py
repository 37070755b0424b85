"""Half-body crops: the official protocol's (docs/protocol.md, "Training protocol") and mmpose's."""
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import RandomHalfBody as MmposeRandomHalfBody

from mmpose_mspn.datasets.transforms.bbox_transforms import check_probability, check_shares, widened
from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.errors import ConfigError


@TRANSFORMS.register_module()
class HalfBody(BaseTransform):
    """Crop to the upper or the lower half of the labeled keypoints.

    With more than ``min_joints`` labeled keypoints, and with probability ``prob``, the crop is chosen in this order:
    the upper keypoints, if a standard normal draw is below 0.5 and more than 3 of them are labeled; the lower ones, if
    more than 3 are labeled; the upper ones, if at least 3 are labeled; otherwise the box stays. The new box is the
    extent of the chosen keypoints, widened as in :class:`WidenBBox`.

    Required keys: ``keypoints`` (1, K, 2) image px, ``keypoints_visible`` (1, K). Modified: ``bbox_center`` (1, 2) and
    ``bbox_scale`` (1, 2), image px.

    Args:
        upper_body_ids: Indices of the upper keypoints (COCO 0-12, MPII 7-15).
        prob: Probability of a half-body crop, 0 ... 1 (COCO 0.3, MPII 0.5).
        min_joints: Number of labeled keypoints that must be exceeded, >= 0 (COCO 3, MPII 8).
        random: Upper bounds of the shares of (width, height) added at random, >= 0 (COCO (.6, .8), MPII (.6, .6)).
    """

    # A half must exceed this number of labeled keypoints, whatever min_joints is.
    half_joints = 3

    def __init__(self,
                 upper_body_ids: Sequence[int],
                 prob: float = 0.3,
                 min_joints: int = 3,
                 random: Tuple[float, float] = (0.6, 0.8)) -> None:
        check_probability('prob', prob)
        check_shares('random', random)
        if min_joints < 0:
            raise ConfigError(f'min_joints must be >= 0, got {min_joints}')
        self.upper_body_ids = tuple(upper_body_ids)
        self.prob = prob
        self.min_joints = min_joints
        self.random = np.array(random, np.float32)

    @cache_randomness
    def _draw(self) -> Tuple[float, float, np.ndarray]:
        return np.random.rand(), np.random.randn(), np.random.rand(2).astype(np.float32)

    def select(self, labeled: np.ndarray, normal: float) -> Optional[np.ndarray]:
        """Choose a half.

        Args:
            labeled: (K,), whether each keypoint is labeled.
            normal: The standard normal draw.

        Returns:
            Indices of the labeled keypoints in the chosen half, or ``None`` if there are too few.
        """
        is_upper = np.isin(np.arange(len(labeled)), self.upper_body_ids)
        upper, lower = np.flatnonzero(labeled & is_upper), np.flatnonzero(labeled & ~is_upper)
        if normal < 0.5 and len(upper) > self.half_joints:
            chosen = upper
        else:
            chosen = lower if len(lower) > self.half_joints else upper
        return chosen if len(chosen) >= 3 else None

    def transform(self, results: Dict) -> Dict:
        labeled = results['keypoints_visible'][0] > 0
        uniform, normal, shares = self._draw()
        if labeled.sum() <= self.min_joints or uniform >= self.prob:
            return results
        chosen = self.select(labeled, normal)
        if chosen is None:
            return results
        keypoints = results['keypoints'][0, chosen, :2].astype(np.float32)
        low, high = keypoints.min(0), keypoints.max(0)
        size = widened(high - low, self.random * shares)
        if size.max() <= 0:  # all chosen keypoints at one point: nothing to crop
            return results
        results['bbox_center'] = ((low + high) / 2)[None]
        results['bbox_scale'] = size[None]
        return results


@TRANSFORMS.register_module()
class RandomHalfBody(MmposeRandomHalfBody):
    """mmpose's step of this name, for visibility 0/1/2: it counts labeled keypoints.

    The stock step sums their visibility instead, which is the same only for 0/1. Arguments, random draws and crops are
    the stock step's.

    Required keys: ``keypoints`` (N, K, 2) image px, ``keypoints_visible`` (N, K), ``bbox_center`` (N, 2) and
    ``bbox_scale`` (N, 2) in image px, ``upper_body_ids``, ``lower_body_ids``. Modified: ``bbox_center``,
    ``bbox_scale``.
    """

    def transform(self, results: Dict) -> Dict:
        visible = results['keypoints_visible']
        results['keypoints_visible'] = (visible > 0).astype(np.float32)
        results = super().transform(results)
        results['keypoints_visible'] = visible
        return results
