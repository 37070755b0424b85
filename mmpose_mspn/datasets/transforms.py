"""The official protocol's augmentation as pipeline steps (PROTOCOL, "Training protocol" and "Test protocol"), and a
faster form of mmpose's.

``TopdownAffine`` of mmpose restores the input's aspect ratio by growing the short side. Growing commutes with the
uniform scaling in between, so no step here does it.
"""
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import RandomBBoxTransform as MMPoseRandomBBoxTransform
from scipy.special import ndtr, ndtri

from mmpose_mspn.registry import TRANSFORMS


def _check_probability(name: str, prob: float) -> None:
    if not 0 <= prob <= 1:
        raise ValueError(f'{name} must be 0 ... 1, got {prob}')


def _check_widths(name: str, widths: Sequence[float]) -> None:
    if len(widths) != 2 or min(widths) < 0:
        raise ValueError(f'{name} must be two numbers >= 0 (width, height), got {widths}')


def _grow(size: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return size * (1 + shares)


@TRANSFORMS.register_module()
class WidenBBox(BaseTransform):
    """Person box to centre and size, widened.

    Width and height become ×(1 + fixed) × (1 + random · u), u ~ U(0, 1) drawn for each. COCO trains with
    ``fixed=(.05, .05), random=(.6, .8)`` and tests with ``fixed=(.09, .135)``.

    Required keys: ``bbox`` (N, 4) xyxy. Added: ``bbox_center`` (N, 2), ``bbox_scale`` (N, 2), both image px.

    Args:
        fixed: Share of (width, height) always added, >= 0.
        random: Upper end of the share drawn on top, >= 0.
    """

    def __init__(self, fixed: Tuple[float, float], random: Tuple[float, float] = (0., 0.)) -> None:
        _check_widths('fixed', fixed)
        _check_widths('random', random)
        self.fixed = np.array(fixed, np.float32)
        self.random = np.array(random, np.float32)

    @cache_randomness
    def _draw(self, count: int) -> np.ndarray:
        return np.random.rand(count, 2).astype(np.float32)

    def transform(self, results: Dict) -> Dict:
        boxes = results['bbox'].astype(np.float32)
        size = _grow(boxes[:, 2:] - boxes[:, :2], self.fixed)
        if self.random.any():
            size = _grow(size, self.random * self._draw(len(boxes)))
        results['bbox_center'] = (boxes[:, :2] + boxes[:, 2:]) / 2
        results['bbox_scale'] = size
        return results


@TRANSFORMS.register_module()
class HalfBody(BaseTransform):
    """Crop to the upper or lower half of the labelled joints.

    With more than ``min_joints`` labelled joints and probability ``prob``: the upper joints when a standard normal draw
    is below 0.5 and more than 3 of them are labelled; else the lower ones if more than 3; else the upper; fewer than
    3: nothing. The box is the joints' extent, widened as in :class:`WidenBBox`.

    mmpose's ``RandomHalfBody`` counts joints by summing their visibility, which 0/1/2 breaks.

    Required keys: ``keypoints`` (1, K, 2) image px, ``keypoints_visible`` (1, K). Modified: ``bbox_center``,
    ``bbox_scale``.

    Args:
        upper_body_ids: Joints of the upper half (COCO 0-12, MPII 7-15).
        prob: 0 ... 1 (COCO 0.3, MPII 0.5).
        min_joints: Labelled joints that must be exceeded, >= 0 (COCO 3, MPII 8), for the whole body.
        random: Upper end of the share drawn on top of (width, height), >= 0 (COCO (.6, .8), MPII (.6, .6)).
    """

    # The halves are asked for more than 3 joints, whatever the whole body is asked for.
    half_joints = 3

    def __init__(self,
                 upper_body_ids: Sequence[int],
                 prob: float = 0.3,
                 min_joints: int = 3,
                 random: Tuple[float, float] = (0.6, 0.8)) -> None:
        _check_probability('prob', prob)
        _check_widths('random', random)
        if min_joints < 0:
            raise ValueError(f'min_joints must be >= 0, got {min_joints}')
        self.upper_body_ids = tuple(upper_body_ids)
        self.prob = prob
        self.min_joints = min_joints
        self.random = np.array(random, np.float32)

    @cache_randomness
    def _draw(self) -> Tuple[float, float, np.ndarray]:
        return np.random.rand(), np.random.randn(), np.random.rand(2).astype(np.float32)

    def select(self, labelled: np.ndarray, normal: float) -> Optional[np.ndarray]:
        """Indices of the chosen half of the joints ``labelled`` (K,), or ``None``."""
        is_upper = np.isin(np.arange(len(labelled)), self.upper_body_ids)
        upper, lower = np.flatnonzero(labelled & is_upper), np.flatnonzero(labelled & ~is_upper)
        if normal < 0.5 and len(upper) > self.half_joints:
            chosen = upper
        else:
            chosen = lower if len(lower) > self.half_joints else upper
        return chosen if len(chosen) >= 3 else None

    def transform(self, results: Dict) -> Dict:
        labelled = results['keypoints_visible'][0] > 0
        uniform, normal, shares = self._draw()
        if labelled.sum() <= self.min_joints or uniform >= self.prob:
            return results
        chosen = self.select(labelled, normal)
        if chosen is None:
            return results
        joints = results['keypoints'][0, chosen, :2].astype(np.float32)
        low, high = joints.min(0), joints.max(0)
        size = _grow(high - low, self.random * shares)
        if size.max() <= 0:  # all chosen joints in one point: nothing to crop
            return results
        results['bbox_center'] = ((low + high) / 2)[None]
        results['bbox_scale'] = size[None]
        return results


@TRANSFORMS.register_module()
class RandomScaleRotation(BaseTransform):
    """Scale the box and rotate it.

    Required key: ``bbox_scale`` (N, 2). Modified: ``bbox_scale``. Added: ``bbox_rotation`` (N,) in degrees.

    Args:
        shrink: Factor always applied, > 0 (COCO 0.8, MPII 1).
        scale: (low, high) of the uniform factor on top, > 0.
        rotation: Largest angle in degrees, >= 0, drawn from U(-rotation, rotation) (COCO 45, MPII 60).
        rotation_prob: 0 ... 1.
    """

    def __init__(self,
                 shrink: float = 0.8,
                 scale: Tuple[float, float] = (0.75, 1.25),
                 rotation: float = 45.,
                 rotation_prob: float = 0.5) -> None:
        _check_probability('rotation_prob', rotation_prob)
        if shrink <= 0:
            raise ValueError(f'shrink must be > 0, got {shrink}')
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f'scale must be (low, high) with 0 < low <= high, got {scale}')
        if rotation < 0:
            raise ValueError(f'rotation must be >= 0 degrees, got {rotation}')
        self.shrink, self.scale = shrink, tuple(scale)
        self.rotation, self.rotation_prob = rotation, rotation_prob

    @cache_randomness
    def _draw(self, count: int) -> Tuple[np.ndarray, np.ndarray]:
        factors = np.random.uniform(*self.scale, count).astype(np.float32)
        angles = np.random.uniform(-self.rotation, self.rotation, count).astype(np.float32)
        return factors, np.where(np.random.rand(count) <= self.rotation_prob, angles, 0).astype(np.float32)

    def transform(self, results: Dict) -> Dict:
        factors, angles = self._draw(len(results['bbox_scale']))
        results['bbox_scale'] = results['bbox_scale'] * (self.shrink * factors)[:, None]
        results['bbox_rotation'] = angles
        return results


@TRANSFORMS.register_module()
class RandomBBoxTransform(MMPoseRandomBBoxTransform):
    """mmpose's step of this name, with the same draws to rounding.

    ``scipy.stats`` takes a fifth of the time that a worker needs for a person to draw from the truncated normal
    distribution. Its inverse alone takes none worth mentioning.
    """

    @staticmethod
    def _truncnorm(low: float = -1., high: float = 1., size: tuple = ()) -> np.ndarray:
        below, above = ndtr(low), ndtr(high)
        return ndtri(below + (above - below) * np.random.uniform(size=size)).astype(np.float32)
