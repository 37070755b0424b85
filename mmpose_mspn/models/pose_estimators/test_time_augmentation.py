"""Test-time views: heatmaps of mirrored and shifted crops, moved back and averaged."""
from functools import partial
from math import floor
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor
from torch.nn import functional as F

from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead
from mmpose_mspn.models.utils import shallow_copy
from mmpose_mspn.utils.errors import ConfigError

Shift = Tuple[int, int]
"""(dx, dy) in px by which a crop's content moves right and down."""


def check_shifts(shifts: Optional[Sequence[Shift]]) -> List[Shift]:
    """``shift_test`` of a test_cfg as a list of pairs; ``None`` becomes ``[(0, 0)]``, the crop alone.

    Raises:
        ConfigError: It is empty, or an entry is not a pair of integers.
    """
    if shifts is None:
        return [(0, 0)]

    def is_pair(shift: Any) -> bool:
        return isinstance(shift, (list, tuple)) and len(shift) == 2 and all(isinstance(move, int) for move in shift)

    if not isinstance(shifts, (list, tuple)) or not shifts or not all(map(is_pair, shifts)):
        raise ConfigError('shift_test must list at least one pair (dx, dy) of integers in px, such as [(0, 0), '
                          f'(4, 0)], got {shifts}')
    return [tuple(shift) for shift in shifts]


def extract_views(estimator: BasePoseEstimator, inputs: Tensor, flip_test: bool) -> Any:
    """Features of crops (B, 3, h, w), in the form in which heads take them at test time.

    With ``flip_test``, crops and mirrored crops share one forward pass. The result is ``[features, features of the
    mirrored crops]``, as from the two passes of mmpose's estimator.
    """
    if not flip_test:
        return estimator.extract_feat(inputs)
    both = estimator.extract_feat(torch.cat([inputs, inputs.flip(-1)]))
    return [_select_samples(both, slice(None, len(inputs))), _select_samples(both, slice(len(inputs), None))]


def _select_samples(feats: Any, samples: slice) -> Any:
    """The features of some samples of a batch, from tensors, lists, tuples and dicts of them."""
    if isinstance(feats, Tensor):
        return feats[samples]
    if isinstance(feats, (list, tuple)):
        return type(feats)(_select_samples(feat, samples) for feat in feats)
    if isinstance(feats, dict):
        return {name: _select_samples(feat, samples) for name, feat in feats.items()}
    raise TypeError(f'the backbone gave {type(feats).__name__}, but flip_test can only split tensors, lists, tuples '
                    'and dicts of them: use mmpose.TopdownPoseEstimator for this backbone')


def mean_heatmaps(estimator: BasePoseEstimator, inputs: Tensor, samples: list, test_cfg: dict) -> Tensor:
    """Heatmaps (B, K, H, W) that an estimator's head predicts, averaged over the views of ``test_cfg``.

    Args:
        estimator: Any top-down estimator with a heatmap head.
        inputs: (B, 3, h, w), normalized.
        samples: The B samples, whose metainfo holds ``flip_indices``.
        test_cfg: ``flip_test`` with its settings, as in mmpose, and ``shift_test``.

    Raises:
        ConfigError: The head predicts no heatmaps, or a shift is larger than the crop.
    """
    test_cfg = dict(test_cfg, output_heatmaps=True)
    total, views_per_cell = 0., 0.
    for dx, dy in check_shifts(test_cfg.get('shift_test')):
        if abs(dx) >= inputs.shape[3] or abs(dy) >= inputs.shape[2]:
            raise ConfigError(f'shift_test must stay inside the input of {inputs.shape[3]} x {inputs.shape[2]} px, got '
                              f'{(dx, dy)}')
        moved = shift_crops(inputs, dx, dy, black_pixel(estimator))
        feats = extract_views(estimator, moved, test_cfg.get('flip_test', False))
        maps = _predicted_heatmaps(estimator, feats, samples, test_cfg)
        cells = (dx * maps.shape[3] / inputs.shape[3], dy * maps.shape[2] / inputs.shape[2])
        total = total + shift_back(maps, *cells)
        views_per_cell = views_per_cell + shift_back(torch.ones_like(maps[:1, :1]), *cells)
    # A cell that a shift moved out of a view is averaged over the other views.
    return total / views_per_cell.clamp(min=1e-6)


def _predicted_heatmaps(estimator: BasePoseEstimator, feats: Any, samples: list, test_cfg: dict) -> Tensor:
    """Heatmaps (B, K, H, W) of any head, which are not decoded."""
    if isinstance(estimator.head, BaseHeatmapHead):
        return estimator.head.predict_heatmaps(feats, samples, test_cfg)
    # Heads of other packages decode in their ``predict``, each view anew: on a GPU, a wait for each.
    head = shallow_copy(estimator.head)
    head.decode = partial(_undecoded, len(samples))
    predicted = head.predict(feats, samples, test_cfg=test_cfg)
    fields = predicted[1] if isinstance(predicted, tuple) else []
    if not fields or 'heatmaps' not in fields[0]:
        raise ConfigError(f'{type(estimator.head).__name__} predicts no heatmaps to average: shift_test and ensembles '
                          'need a heatmap head')
    return torch.stack([field.heatmaps for field in fields])


def _undecoded(count: int, *outputs: Any) -> List[InstanceData]:
    """What :func:`_predicted_heatmaps` lets a head's ``decode`` find: nothing, for each sample."""
    return [InstanceData() for _ in range(count)]


def black_pixel(estimator: BasePoseEstimator) -> Union[Tensor, float]:
    """A black pixel (3, 1, 1) after the estimator's normalization: what warping puts where there is no image."""
    preprocessor = estimator.data_preprocessor
    mean = getattr(preprocessor, 'mean', None)
    return 0. if mean is None else -mean / preprocessor.std


def shift_crops(crops: Tensor, dx: int, dy: int, fill: Union[Tensor, float]) -> Tensor:
    """Crops (B, 3, h, w) whose content is moved right by ``dx`` px and down by ``dy`` px.

    Args:
        crops: (B, 3, h, w).
        dx: Integer, within the width.
        dy: Integer, within the height.
        fill: The pixel (3, 1, 1), or its value in all channels, that is written where no content remains.
    """
    if (dx, dy) == (0, 0):
        return crops
    border = (dx, -dx, dy, -dy)
    if not isinstance(fill, Tensor):
        return F.pad(crops, border, value=fill)
    inside = F.pad(torch.ones_like(crops[:1, :1]), border) > 0
    return torch.where(inside, F.pad(crops, border), fill.to(crops))


def shift_back(maps: Tensor, dx: float, dy: float) -> Tensor:
    """Maps (B, K, H, W) whose content is moved left by ``dx`` cells and up by ``dy`` cells.

    Fractions of a cell are interpolated linearly; zeros are written where no content remains.
    """
    left, up = floor(dx), floor(dy)
    moved = 0.
    for x, along_x in ((left, 1 - (dx - left)), (left + 1, dx - left)):
        for y, along_y in ((up, 1 - (dy - up)), (up + 1, dy - up)):
            if along_x * along_y > 0:
                moved = moved + F.pad(maps, (-x, x, -y, y)) * (along_x * along_y)
    return moved
