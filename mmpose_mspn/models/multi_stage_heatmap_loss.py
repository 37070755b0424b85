"""The losses of MSPN over stages and units (section 3.3 of the paper; PROTOCOL, "Targets and loss")."""
from typing import Dict, Optional, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.registry import MODELS

COARSE_UNIT_WEIGHT = 0.25
"""Weight of every unit but the last, whose weight is 1."""
VISIBLE = 2
"""COCO's visibility of a joint that can be seen; 1 is labelled but occluded, 0 not labelled."""


@MODELS.register_module()
class MultiStageHeatmapLoss(nn.Module):
    """Masked squared errors of every unit of every stage, online hard keypoint mining (OHKM) on the last units.

    - Unit j of a stage learns kernel level j; with ``coarse_to_fine`` the last stage learns level j + 1.
    - Coarse units: the mean squared error over B, K, H and W, where the *target* of a joint that is not visible
      (2) is zeroed; weight 1/4.
    - The last unit, with OHKM: each joint's mean squared error, zeroed unless labelled (> 0); the mean of the sample's
      ``ohkm_topk`` largest; weight 1. Without OHKM: as the coarse units, weight 1.

    Args:
        coarse_to_fine: Finer levels for the last stage.
        ohkm_topk: Joints that OHKM keeps, >= 1; all of them where there are fewer. ``None``: no OHKM.
        visibility: ``'official'``: coarse targets show visible (2) joints only, which needs visibility 0/1/2.
            ``'labelled'``: they show every labelled joint, for data without that distinction.

    Raises:
        ValueError: A bad argument; or, under the official rule, data in which nothing is ever visible (2).
    """

    # Labelled joints that may pass before one of them must be visible. Stock datasets clip visibility to 0/1, which
    # would teach the coarse units to predict nothing. No real first batch hides all of so many joints.
    patience_joints = 16

    def __init__(self,
                 coarse_to_fine: bool = True,
                 ohkm_topk: Optional[int] = 8,
                 visibility: str = 'official') -> None:
        super().__init__()
        if ohkm_topk is not None and ohkm_topk < 1:
            raise ValueError(f'ohkm_topk must be >= 1, or None for no OHKM, got {ohkm_topk}')
        if visibility not in ('official', 'labelled'):
            raise ValueError(f"visibility must be 'official' or 'labelled', got {visibility!r}")
        self.coarse_to_fine = coarse_to_fine
        self.ohkm_topk = ohkm_topk
        self.visibility = visibility
        self._joints_without_visible = 0
        self._seen_visible = visibility == 'labelled'

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
        self._check_visibility(visible)
        targets = targets.float()
        seen = visible >= (VISIBLE if self.visibility == 'official' else 1)
        seen_targets = targets * seen[:, None, :, None, None]
        losses = {}
        for stage, units in enumerate(outputs):
            loss = targets.new_zeros(())
            for unit, heatmaps in enumerate(units):
                heatmaps = heatmaps.float()
                level = self.level(stage, unit, len(outputs))
                if unit < len(units) - 1:
                    loss = loss + COARSE_UNIT_WEIGHT * F.mse_loss(heatmaps, seen_targets[:, level])
                elif self.ohkm_topk is None:
                    loss = loss + F.mse_loss(heatmaps, seen_targets[:, level])
                else:
                    loss = loss + self._ohkm(heatmaps, targets[:, level], visible)
            losses[f'loss_stage{stage}'] = loss
        return losses

    def _ohkm(self, heatmaps: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        per_joint = F.mse_loss(heatmaps, target, reduction='none').mean((2, 3)) * (visible > 0)
        hardest = per_joint.topk(min(self.ohkm_topk, per_joint.shape[1]), dim=1, sorted=False).values
        return hardest.mean()

    def _check_levels(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor) -> None:
        needed = 1 + max(
            self.level(stage, len(units) - 1, len(outputs)) for stage, units in enumerate(outputs))
        if targets.ndim != 5 or targets.shape[1] < needed:
            raise ValueError(f'targets must be (B, L, K, H, W) with L >= {needed} for {len(outputs[-1])} units and '
                             f'coarse_to_fine={self.coarse_to_fine}, got {tuple(targets.shape)}')

    def _check_visibility(self, visible: Tensor) -> None:
        # Reads the device only until the first visible joint, that is in the first step of a healthy run.
        if self._seen_visible:
            return
        if bool((visible == VISIBLE).any()):
            self._seen_visible = True
            return
        self._joints_without_visible += int((visible > 0).sum())
        if self._joints_without_visible > self.patience_joints:
            raise ValueError(
                f'none of {self._joints_without_visible} labelled joints has visibility 2: the data set seems to clip '
                "visibility to 0/1, which would empty the targets of the coarse units. Use a data set that keeps it "
                "(type='mmpose_mspn.CocoDataset'), or set visibility='labelled' in the loss "
                "(loss=dict(type='mmpose_mspn.MultiStageHeatmapLoss', visibility='labelled') of the head)")
