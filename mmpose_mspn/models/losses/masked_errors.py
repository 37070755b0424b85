"""Errors of heatmaps that mind the joints' visibility (PROTOCOL, "Targets and loss"), shared by the losses."""
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from mmpose_mspn.utils.visibility import VISIBLE


class VisibilityRule:
    """Which joints the targets of the coarse predictors show.

    The *target* of a joint that they do not show is zeroed, not its loss: the predictor learns that nothing is there.

    Args:
        visibility: ``'official'``: visible (2) joints only, which needs visibility 0/1/2. ``'labeled'``: every
            labeled joint, for data without that distinction.

    Raises:
        ValueError: ``visibility`` is unknown; or, under the official rule, data in which nothing is ever visible (2).
    """

    # Labeled joints that may pass before one of them must be visible. Stock datasets clip visibility to 0/1, which
    # would teach the coarse predictors to predict nothing. No real first batch hides all of so many joints.
    patience_joints = 16

    def __init__(self, visibility: str = 'official') -> None:
        if visibility == 'labelled':  # the option's earlier spelling
            visibility = 'labeled'
        if visibility not in ('official', 'labeled'):
            raise ValueError(f"visibility must be 'official' or 'labeled', got {visibility!r}")
        self.visibility = visibility
        self._joints_without_visible = 0
        self._seen_visible = visibility == 'labeled'

    def seen_targets(self, targets: Tensor, visible: Tensor) -> Tensor:
        """``targets`` (B, L, K, H, W) with zeros for the joints that ``visible`` (B, K), 0/1/2, does not show."""
        self._check(visible)
        seen = visible >= (VISIBLE if self.visibility == 'official' else 1)
        return targets * seen[:, None, :, None, None]

    def _check(self, visible: Tensor) -> None:
        # Reads the device only until the first visible joint, that is in the first step of a healthy run.
        if self._seen_visible:
            return
        if bool((visible == VISIBLE).any()):
            self._seen_visible = True
            return
        self._joints_without_visible += int((visible > 0).sum())
        if self._joints_without_visible > self.patience_joints:
            raise ValueError(
                f'none of {self._joints_without_visible} labeled joints has visibility 2: the dataset seems to clip '
                'visibility to 0/1, which would empty the targets of the coarse predictors. Use a dataset that keeps '
                "it (type='mmpose_mspn.CocoDataset'), or set visibility='labeled' in the loss "
                "(loss=dict(visibility='labeled') of the head)")


def check_ohkm_topk(topk: Optional[int]) -> None:
    """Refuse what :func:`hard_keypoint_error` cannot keep; ``None`` stands for no mining."""
    if topk is not None and topk < 1:
        raise ValueError(f'ohkm_topk must be >= 1, or None for no OHKM, got {topk}')


def hard_keypoint_error(heatmaps: Tensor, target: Tensor, visible: Tensor, topk: int) -> Tensor:
    """Online hard keypoint mining: the mean, over the batch, of the squared errors of each sample's hardest joints.

    Args:
        heatmaps: (B, K, H, W).
        target: (B, K, H, W).
        visible: (B, K); a joint that is not labeled (0) has no error, hidden or not a labeled one has.
        topk: Joints kept, >= 1; all of them where there are fewer.
    """
    per_joint = F.mse_loss(heatmaps, target, reduction='none').mean((2, 3)) * (visible > 0)
    return torch.topk(per_joint, min(topk, per_joint.shape[1]), dim=1, sorted=False).values.mean()
