"""Views of a crop at test time: mirrored and shifted crops, and their heatmaps brought back and averaged."""
from math import floor
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor
from torch.nn import functional as F

Shift = Tuple[int, int]
"""(dx, dy) in px by which a crop's content moves right and down."""


def check_shifts(shifts: Optional[Sequence[Shift]]) -> List[Shift]:
    """``shift_test`` of a test_cfg as a list of pairs; ``None`` is the crop alone.

    Raises:
        ValueError: It is empty, or an entry is not a pair of whole numbers.
    """
    if shifts is None:
        return [(0, 0)]
    def is_pair(shift: Any) -> bool:
        return isinstance(shift, (list, tuple)) and len(shift) == 2 and all(isinstance(move, int) for move in shift)

    if not isinstance(shifts, (list, tuple)) or not shifts or not all(map(is_pair, shifts)):
        raise ValueError('shift_test must list at least one pair (dx, dy) of whole px, such as [(0, 0), (4, 0)], got '
                         f'{shifts}')
    return [tuple(shift) for shift in shifts]


def features(estimator: BasePoseEstimator, inputs: Tensor, flip_test: bool) -> Any:
    """Features of crops (B, 3, h, w) as heads take them at test.

    With ``flip_test`` crops and mirrored crops share one forward pass: the result is ``[features, features of the
    mirrored]``, as mmpose's estimator gives them after two passes.
    """
    if not flip_test:
        return estimator.extract_feat(inputs)
    both = estimator.extract_feat(torch.cat([inputs, inputs.flip(-1)]))
    return [_part(both, slice(None, len(inputs))), _part(both, slice(len(inputs), None))]


def _part(feats: Any, rows: slice) -> Any:
    """The samples ``rows`` of features that may be nested."""
    if isinstance(feats, Tensor):
        return feats[rows]
    if isinstance(feats, (list, tuple)):
        return type(feats)(_part(feat, rows) for feat in feats)
    if isinstance(feats, dict):
        return {name: _part(feat, rows) for name, feat in feats.items()}
    raise TypeError(f'the backbone gave {type(feats).__name__}, but flip_test splits tensors, lists, tuples and dicts '
                    'of them: use mmpose.TopdownPoseEstimator for this backbone')


def heatmaps(estimator: BasePoseEstimator, inputs: Tensor, samples: list, test_cfg: dict) -> Tensor:
    """Heatmaps (B, K, H, W) that an estimator's head predicts, averaged over the views of ``test_cfg``.

    Args:
        estimator: Any top-down estimator with a heatmap head.
        inputs: (B, 3, h, w), normalized.
        samples: Their samples, whose metainfo holds ``flip_indices``.
        test_cfg: ``flip_test`` with its settings, as in mmpose, and ``shift_test``.

    Raises:
        ValueError: The head predicts no heatmaps, or a shift is larger than the crop.
    """
    test_cfg = dict(test_cfg, output_heatmaps=True)
    total, seen = 0., 0.
    for dx, dy in check_shifts(test_cfg.get('shift_test')):
        if abs(dx) >= inputs.shape[3] or abs(dy) >= inputs.shape[2]:
            raise ValueError(f'shift_test must stay inside the input of {inputs.shape[3]} x {inputs.shape[2]} px, got '
                             f'{(dx, dy)}')
        moved = shift_crops(inputs, dx, dy, black(estimator))
        predicted = estimator.head.predict(
            features(estimator, moved, test_cfg.get('flip_test', False)), samples, test_cfg=test_cfg)
        maps = _fields(predicted, estimator)
        cells = (dx * maps.shape[3] / inputs.shape[3], dy * maps.shape[2] / inputs.shape[2])
        total = total + shift_back(maps, *cells)
        seen = seen + shift_back(torch.ones_like(maps[:1, :1]), *cells)
    # Cells that a shift pushed out of the view count for the other views only.
    return total / seen.clamp(min=1e-6)


def _fields(predicted: Any, estimator: BasePoseEstimator) -> Tensor:
    fields = predicted[1] if isinstance(predicted, tuple) else []
    if not fields or 'heatmaps' not in fields[0]:
        raise ValueError(f'{type(estimator.head).__name__} predicts no heatmaps to average: shift_test and ensembles '
                         'need a heatmap head')
    return torch.stack([field.heatmaps for field in fields])


def black(estimator: BasePoseEstimator) -> Union[Tensor, float]:
    """The value of a black pixel behind the estimator's normalization, which warping puts outside the image."""
    preprocessor = estimator.data_preprocessor
    mean = getattr(preprocessor, 'mean', None)
    return 0. if mean is None else -mean / preprocessor.std


def shift_crops(crops: Tensor, dx: int, dy: int, fill: Union[Tensor, float]) -> Tensor:
    """Crops (B, 3, h, w) whose content lies ``dx`` px further right and ``dy`` px further down."""
    if (dx, dy) == (0, 0):
        return crops
    border = (dx, -dx, dy, -dy)
    inside = F.pad(torch.ones_like(crops[:1, :1]), border) > 0
    return torch.where(inside, F.pad(crops, border), torch.as_tensor(fill).to(crops))


def shift_back(maps: Tensor, dx: float, dy: float) -> Tensor:
    """Maps (B, K, H, W) whose content lies ``dx`` cells further left and ``dy`` up; zeros come in.

    Between cells: linear interpolation.
    """
    left, up = floor(dx), floor(dy)
    moved = 0.
    for x, along_x in ((left, 1 - (dx - left)), (left + 1, dx - left)):
        for y, along_y in ((up, 1 - (dy - up)), (up + 1, dy - up)):
            if along_x * along_y > 0:
                moved = moved + F.pad(maps, (-x, x, -y, y)) * (along_x * along_y)
    return moved
