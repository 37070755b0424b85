"""Person box to crop, as pipeline steps: the official protocol's (docs/protocol.md, "Training protocol" and "Test
protocol"), and a faster form of mmpose's.

No step here restores the input's aspect ratio: mmpose's ``TopdownAffine`` does, by growing the short side. That gives
the same crop as growing it before the random scaling, which is uniform.
"""
from typing import Dict, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import RandomBBoxTransform as MmposeRandomBBoxTransform

from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.errors import ConfigError


def check_probability(name: str, prob: float) -> None:
    """Raise ConfigError unless ``prob`` is 0 ... 1."""
    if not 0 <= prob <= 1:
        raise ConfigError(f'{name} must be 0 ... 1, got {prob}')


def check_shares(name: str, shares: Sequence[float]) -> None:
    """Raise ConfigError unless ``shares`` are two numbers >= 0, of width and height."""
    if len(shares) != 2 or min(shares) < 0:
        raise ConfigError(f'{name} must be two numbers >= 0 (width, height), got {shares}')


def widened(size: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(width, height) plus these shares of each."""
    return size * (1 + shares)


@TRANSFORMS.register_module()
class WidenBBox(BaseTransform):
    """Compute the center and the size of the person box, widened.

    Width and height are multiplied by (1 + fixed) and by (1 + random · u), with u ~ U(0, 1) drawn for each. COCO trains
    with ``fixed=(.05, .05), random=(.6, .8)`` and tests with ``fixed=(.09, .135)``.

    Required keys: ``bbox`` (N, 4) xyxy. Added: ``bbox_center`` (N, 2), ``bbox_scale`` (N, 2). All are in image px.

    Args:
        fixed: Shares of (width, height) that are always added, >= 0.
        random: Upper bounds of the shares of (width, height) added at random, >= 0.
    """

    def __init__(self, fixed: Tuple[float, float], random: Tuple[float, float] = (0., 0.)) -> None:
        check_shares('fixed', fixed)
        check_shares('random', random)
        self.fixed = np.array(fixed, np.float32)
        self.random = np.array(random, np.float32)

    @cache_randomness
    def _draw(self, count: int) -> np.ndarray:
        return np.random.rand(count, 2).astype(np.float32)

    def transform(self, results: Dict) -> Dict:
        boxes = results['bbox'].astype(np.float32)
        size = widened(boxes[:, 2:] - boxes[:, :2], self.fixed)
        if self.random.any():
            size = widened(size, self.random * self._draw(len(boxes)))
        results['bbox_center'] = (boxes[:, :2] + boxes[:, 2:]) / 2
        results['bbox_scale'] = size
        return results


@TRANSFORMS.register_module()
class RandomScaleRotation(BaseTransform):
    """Scale and rotate the box at random.

    Required key: ``bbox_scale`` (N, 2) image px. Modified: ``bbox_scale``. Added: ``bbox_rotation`` (N,) in degrees.

    Args:
        shrink: Factor that is always applied, > 0 (COCO 0.8, MPII 1).
        scale: (low, high), > 0: the range of a further factor, drawn uniformly.
        rotation: Largest angle in degrees, >= 0; angles are drawn from U(-rotation, rotation) (COCO 45, MPII 60).
        rotation_prob: Probability of a rotation, 0 ... 1.
    """

    def __init__(self,
                 shrink: float = 0.8,
                 scale: Tuple[float, float] = (0.75, 1.25),
                 rotation: float = 45.,
                 rotation_prob: float = 0.5) -> None:
        check_probability('rotation_prob', rotation_prob)
        if shrink <= 0:
            raise ConfigError(f'shrink must be > 0, got {shrink}')
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(f'scale must be (low, high) with 0 < low <= high, got {scale}')
        if rotation < 0:
            raise ConfigError(f'rotation must be >= 0 degrees, got {rotation}')
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
class RandomBBoxTransform(MmposeRandomBBoxTransform):
    """mmpose's step of this name, with the same random draws up to rounding, and faster.

    ``scipy.stats`` spends a fifth of a data worker's time on drawing from the truncated normal distribution. Here the
    inverse of its distribution function is applied to the same uniform draws, in negligible time.
    """

    @staticmethod
    def _truncnorm(low: float = -1., high: float = 1., size: tuple = ()) -> np.ndarray:
        from scipy.special import ndtr, ndtri  # only training needs them
        below, above = ndtr(low), ndtr(high)
        return ndtri(below + (above - below) * np.random.uniform(size=size)).astype(np.float32)
