"""The losses of MSPN over stages and units (section 3.3 of the paper; PROTOCOL, "Targets and loss")."""
from typing import Dict, Optional, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.models.losses.masked_errors import VisibilityRule, check_ohkm_topk, hard_keypoint_error
from mmpose_mspn.registry import MODELS

COARSE_UNIT_WEIGHT = 0.25
"""Weight of every unit but the last, whose weight is 1."""


@MODELS.register_module()
class MultiStageHeatmapLoss(nn.Module):
    """Masked squared errors of every unit of every stage, online hard keypoint mining (OHKM) on the last units.

    - Unit j of a stage learns kernel level j; with ``coarse_to_fine`` the last stage learns level j + 1.
    - Coarse units: the mean squared error over B, K, H and W, where the *target* of a joint that is not visible
      (2) is zeroed; weight 1/4.
    - The last unit, with OHKM: each joint's mean squared error, zeroed unless labeled (> 0); the mean of the sample's
      ``ohkm_topk`` largest; weight 1. Without OHKM: as the coarse units, weight 1.

    Args:
        coarse_to_fine: Finer levels for the last stage.
        ohkm_topk: Joints that OHKM keeps, >= 1; all of them where there are fewer. ``None``: no OHKM.
        visibility: See :class:`VisibilityRule`.

    Raises:
        ValueError: A bad argument, targets that are too few, or data that ``visibility`` refuses.
    """

    def __init__(self,
                 coarse_to_fine: bool = True,
                 ohkm_topk: Optional[int] = 8,
                 visibility: str = 'official') -> None:
        super().__init__()
        check_ohkm_topk(ohkm_topk)
        self.coarse_to_fine = coarse_to_fine
        self.ohkm_topk = ohkm_topk
        self.visibility_rule = VisibilityRule(visibility)

    def level(self, stage: int, unit: int, num_stages: int) -> int:
        """Kernel level that a unit learns: the one home of this rule."""
        return unit + int(self.coarse_to_fine and stage == num_stages - 1)

    def forward(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor, visible: Tensor) -> Dict[str, Tensor]:
        """One loss a stage.

        Args:
            outputs: [stage][unit] heatmaps (B, K, H, W), coarse unit first.
            targets: (B, L, K, H, W), L at least the units, one more with ``coarse_to_fine``.
            visible: (B, K) or (B, 1, K), 0/1/2.

        Returns:
            ``loss_stage0`` …, to be summed.
        """
        visible = visible.reshape(len(targets), -1)
        self._check_levels(outputs, targets)
        targets = targets.float()
        seen_targets = self.visibility_rule.seen_targets(targets, visible)
        losses = {}
        for stage, units in enumerate(outputs):
            loss = targets.new_zeros(())
            for unit, heatmaps in enumerate(units):
                # In the targets' layout: element-wise work across two layouts takes twice as long.
                heatmaps = heatmaps.float().contiguous()
                level = self.level(stage, unit, len(outputs))
                if unit < len(units) - 1:
                    loss = loss + COARSE_UNIT_WEIGHT * F.mse_loss(heatmaps, seen_targets[:, level])
                elif self.ohkm_topk is None:
                    loss = loss + F.mse_loss(heatmaps, seen_targets[:, level])
                else:
                    loss = loss + hard_keypoint_error(heatmaps, targets[:, level], visible, self.ohkm_topk)
            losses[f'loss_stage{stage}'] = loss
        return losses

    def _check_levels(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor) -> None:
        needed = 1 + max(
            self.level(stage, len(units) - 1, len(outputs)) for stage, units in enumerate(outputs))
        if targets.ndim != 5 or targets.shape[1] < needed:
            raise ValueError(f'targets must be (B, L, K, H, W) with L >= {needed} for {len(outputs[-1])} units and '
                             f'coarse_to_fine={self.coarse_to_fine}, got {tuple(targets.shape)}')
