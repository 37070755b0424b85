"""The loss of MSPN over stages and units (section 3.3 of the paper; docs/protocol.md, "Targets and loss")."""
from typing import Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.models.utils import is_compiling
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import ConfigError, DataError
from mmpose_mspn.utils.numbers import NOT_LABELED, OCCLUDED, VISIBLE, is_finite

COARSE_UNIT_WEIGHT = 0.25
"""Default weight of every unit but the last of a stage, whose weight is 1."""


@MODELS.register_module()
class MultiStageHeatmapLoss(nn.Module):
    """Weighted sum of the errors of every unit of every stage.

    - Which targets: unit j of a stage learns kernel level j, with ``coarse_to_fine`` level j + 1 in the last stage.
    - Error of the last unit of a stage: each keypoint's mean squared error, zeroed unless the keypoint is labeled
      (> 0), of which the ``ohkm_topk`` largest of a sample are averaged.
    - Error of the other units, and of the last one without OHKM: the mean squared error over B, K, H and W, with the
      *target* of a keypoint zeroed unless it is visible (2).

    Args:
        coarse_to_fine: Whether the last stage learns finer kernel levels than the stages before it.
        ohkm_topk: Number of keypoints per sample that online hard keypoint mining (OHKM) keeps, >= 1; all K where K is
            smaller. ``None``: no OHKM.
        unit_weights: U weights, finite and >= 0, one per unit, coarse unit first. ``None``: the paper's, 1/4 for every
            unit but the last, whose weight is 1; with 4 units that is ``(0.25, 0.25, 0.25, 1.0)``.
        stage_weights: S weights, finite and >= 0, one per stage, first stage first. ``None``: 1 for every stage.
        visibility: Which keypoints the targets of coarse units show: ``'official'`` or ``'labeled'``, see
            :class:`VisibilityRule`.

    Raises:
        ConfigError: An argument is out of its range; the weights are not one per unit and stage; there are too few
            levels of targets; or ``visibility`` refuses the data.
    """

    def __init__(self,
                 coarse_to_fine: bool = True,
                 ohkm_topk: Optional[int] = 8,
                 unit_weights: Optional[Sequence[float]] = None,
                 stage_weights: Optional[Sequence[float]] = None,
                 visibility: str = 'official') -> None:
        super().__init__()
        check_ohkm_topk(ohkm_topk)
        self.coarse_to_fine = coarse_to_fine
        self.ohkm_topk = ohkm_topk
        self.unit_weights = checked_weights('unit_weights', unit_weights)
        self.stage_weights = checked_weights('stage_weights', stage_weights)
        self.visibility_rule = VisibilityRule(visibility)

    def level(self, stage: int, unit: int, num_stages: int) -> int:
        """Kernel level that a unit learns."""
        return unit + int(self.coarse_to_fine and stage == num_stages - 1)

    def weight(self, stage: int, unit: int, num_units: int) -> float:
        """Weight of a unit's error in the total loss: its stage's weight times its own."""
        stage_weight = 1. if self.stage_weights is None else self.stage_weights[stage]
        if self.unit_weights is not None:
            return stage_weight * self.unit_weights[unit]
        return stage_weight * (1. if unit == num_units - 1 else COARSE_UNIT_WEIGHT)

    def check_number_of_weights(self, num_stages: int, num_units: int) -> None:
        """Refuse weights that are not one per stage and one per unit.

        Raises:
            ConfigError: Names the argument, and how many weights it must hold.
        """
        check_number_of_weights('stage_weights', self.stage_weights, num_stages, 'stage')
        check_number_of_weights('unit_weights', self.unit_weights, num_units, 'unit, coarse unit first')

    def forward(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor, visible: Tensor) -> Dict[str, Tensor]:
        """One loss per stage.

        Args:
            outputs: [stage][unit] heatmaps (B, K, H, W), coarse unit first.
            targets: (B, L, K, H, W), L at least the number of units, one more with ``coarse_to_fine``.
            visible: (B, K) or (B, 1, K), 0/1/2.

        Returns:
            ``loss_stage0`` …, to be summed.
        """
        visible = visible.reshape(len(targets), -1)
        self._check_levels(outputs, targets)
        targets = targets.float()
        shown_targets = self.visibility_rule.shown_targets(targets, visible)
        losses = {}
        for stage, units in enumerate(outputs):
            self.check_number_of_weights(len(outputs), len(units))
            loss = targets.new_zeros(())
            for unit, heatmaps in enumerate(units):
                # In the targets' memory layout: element-wise operations across two layouts take twice as long.
                heatmaps = heatmaps.float().contiguous()
                level = self.level(stage, unit, len(outputs))
                if unit == len(units) - 1 and self.ohkm_topk is not None:
                    error = hard_keypoint_error(heatmaps, targets[:, level], visible, self.ohkm_topk)
                else:
                    error = F.mse_loss(heatmaps, shown_targets[:, level])
                loss = loss + self.weight(stage, unit, len(units)) * error
            losses[f'loss_stage{stage}'] = loss
        return losses

    def _check_levels(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor) -> None:
        needed = 1 + max(
            self.level(stage, len(units) - 1, len(outputs)) for stage, units in enumerate(outputs))
        if targets.ndim != 5 or targets.shape[1] < needed:
            raise ConfigError(f'targets must be (B, L, K, H, W) with L >= {needed} for {len(outputs[-1])} units and '
                              f'coarse_to_fine={self.coarse_to_fine}, got {tuple(targets.shape)}')


class VisibilityRule:
    """Targets masked by visibility.

    The *target* of a keypoint that the rule hides is zeroed, not its loss: the predictor learns that nothing is there.

    Args:
        visibility: ``'official'``: targets show visible (2) keypoints only, which needs visibility 0/1/2.
            ``'labeled'``: targets show every labeled keypoint, for data without that distinction.

    Raises:
        ConfigError: ``visibility`` is unknown.
        DataError: Under the official rule, no keypoint of the data is visible (2).
    """

    # Labeled keypoints that may pass before one of them must be visible. Stock datasets clip visibility to 0/1, which
    # would teach the coarse predictors to predict nothing. No real first batch hides this many keypoints.
    patience_keypoints = 16

    def __init__(self, visibility: str = 'official') -> None:
        if visibility == 'labelled':  # the option's earlier spelling
            visibility = 'labeled'
        if visibility not in ('official', 'labeled'):
            raise ConfigError(f"visibility must be 'official' or 'labeled', got {visibility!r}")
        self.visibility = visibility
        self._keypoints_without_visible = 0
        self.is_settled = visibility == 'labeled'

    def shown_targets(self, targets: Tensor, visible: Tensor) -> Tensor:
        """``targets`` (B, L, K, H, W) with zeros for the keypoints that ``visible`` (B, K), 0/1/2, hides."""
        if not is_compiling():  # a compiled graph holds no branch on values; TopdownPoseEstimator checks before it
            self.check(visible)
        shown = visible >= (VISIBLE if self.visibility == 'official' else OCCLUDED)
        return targets * shown[:, None, :, None, None]

    def check(self, visible: Tensor) -> None:
        """Count keypoints of ``visible`` (B, K), 0/1/2, until one of them is visible, as in a healthy first batch.

        Raises:
            DataError: Under the official rule, none of the first labeled keypoints is visible (2).
        """
        if self.is_settled:
            return
        if bool((visible == VISIBLE).any()):
            self.is_settled = True
            return
        self._keypoints_without_visible += int((visible >= OCCLUDED).sum())
        if self._keypoints_without_visible > self.patience_keypoints:
            raise DataError(
                f'none of {self._keypoints_without_visible} labeled keypoints has visibility 2: the dataset seems to '
                'clip visibility to 0/1, which would empty the targets of the coarse predictors. Use a dataset that '
                "keeps it (type='mmpose_mspn.CocoDataset'), or set visibility='labeled' in the loss "
                "(loss=dict(visibility='labeled') of the head)")


def check_ohkm_topk(topk: Optional[int]) -> None:
    """Refuse a number of keypoints that :func:`hard_keypoint_error` cannot keep; ``None`` stands for no mining.

    Raises:
        ConfigError: ``topk`` is below 1.
    """
    if topk is not None and topk < 1:
        raise ConfigError(f'ohkm_topk must be >= 1, or None for no OHKM, got {topk}')


def hard_keypoint_error(heatmaps: Tensor, target: Tensor, visible: Tensor, topk: int) -> Tensor:
    """Mean squared error of each sample's hardest keypoints, averaged over the batch.

    Args:
        heatmaps: (B, K, H, W).
        target: (B, K, H, W).
        visible: (B, K), 0/1/2. The error of a keypoint that is not labeled (0) counts as zero.
        topk: Number of keypoints kept per sample, those with the largest errors, >= 1; all K where K is smaller.
    """
    per_keypoint = F.mse_loss(heatmaps, target, reduction='none').mean((2, 3)) * (visible > NOT_LABELED)
    return torch.topk(per_keypoint, min(topk, per_keypoint.shape[1]), dim=1, sorted=False).values.mean()


def checked_weights(name: str, weights: Optional[Sequence[float]]) -> Optional[Tuple[float, ...]]:
    """``weights`` as a tuple; ``None`` stays ``None``.

    Args:
        name: The argument that gave them.
        weights: A list or tuple of numbers >= 0.

    Raises:
        ConfigError: ``weights`` is not a list, is empty, or holds a value that is not a finite number >= 0.
    """
    if weights is None:
        return None
    if not isinstance(weights, (list, tuple)) or not weights or not all(is_finite(w) and w >= 0 for w in weights):
        raise ConfigError(f'{name} must list at least one weight, each finite and >= 0, or be None, got {weights!r}')
    return tuple(weights)


def check_number_of_weights(name: str, weights: Optional[Tuple[float, ...]], number: int, of: str) -> None:
    """Refuse weights that are not one per ``of``, of which there are ``number``.

    Raises:
        ConfigError: The numbers differ.
    """
    if weights is not None and len(weights) != number:
        raise ConfigError(f'{name} must hold {number} weights, one per {of}, got {len(weights)}: {weights}')
