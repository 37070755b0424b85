"""The official protocol's half bodies (PROTOCOL, "Training protocol")."""
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmpose_mspn.datasets.transforms.bbox_transforms import check_probability, check_widths, widened
from mmpose_mspn.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HalfBody(BaseTransform):
    """Crop to the upper or lower half of the labeled joints.

    With more than ``min_joints`` labeled joints and probability ``prob``: the upper joints when a standard normal draw
    is below 0.5 and more than 3 of them are labeled; else the lower ones if more than 3; else the upper; fewer than
    3: nothing. The box is the joints' extent, widened as in :class:`WidenBBox`.

    mmpose's ``RandomHalfBody`` counts joints by summing their visibility, which 0/1/2 breaks.

    Required keys: ``keypoints`` (1, K, 2) image px, ``keypoints_visible`` (1, K). Modified: ``bbox_center``,
    ``bbox_scale``.

    Args:
        upper_body_ids: Joints of the upper half (COCO 0-12, MPII 7-15).
        prob: 0 ... 1 (COCO 0.3, MPII 0.5).
        min_joints: Labeled joints that must be exceeded, >= 0 (COCO 3, MPII 8), for the whole body.
        random: Upper end of the share drawn on top of (width, height), >= 0 (COCO (.6, .8), MPII (.6, .6)).
    """

    # The halves are asked for more than 3 joints, whatever the whole body is asked for.
    half_joints = 3

    def __init__(self,
                 upper_body_ids: Sequence[int],
                 prob: float = 0.3,
                 min_joints: int = 3,
                 random: Tuple[float, float] = (0.6, 0.8)) -> None:
        check_probability('prob', prob)
        check_widths('random', random)
        if min_joints < 0:
            raise ValueError(f'min_joints must be >= 0, got {min_joints}')
        self.upper_body_ids = tuple(upper_body_ids)
        self.prob = prob
        self.min_joints = min_joints
        self.random = np.array(random, np.float32)

    @cache_randomness
    def _draw(self) -> Tuple[float, float, np.ndarray]:
        return np.random.rand(), np.random.randn(), np.random.rand(2).astype(np.float32)

    def select(self, labeled: np.ndarray, normal: float) -> Optional[np.ndarray]:
        """Indices of the chosen half of the joints ``labeled`` (K,), or ``None``."""
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
        joints = results['keypoints'][0, chosen, :2].astype(np.float32)
        low, high = joints.min(0), joints.max(0)
        size = widened(high - low, self.random * shares)
        if size.max() <= 0:  # all chosen joints in one point: nothing to crop
            return results
        results['bbox_center'] = ((low + high) / 2)[None]
        results['bbox_scale'] = size[None]
        return results
