"""The losses of CPN: "Cascaded Pyramid Network for Multi-Person Pose Estimation", Chen et al., 2018, section 3.2."""
from typing import Dict, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.models.losses.masked_errors import VisibilityRule, check_ohkm_topk, hard_keypoint_error
from mmpose_mspn.registry import MODELS

GLOBAL_WEIGHT = 0.5
"""Weight of the mean over GlobalNet's levels; RefineNet's is 1."""


@MODELS.register_module()
class CPNHeatmapLoss(nn.Module):
    """Masked squared errors of GlobalNet, online hard keypoint mining (OHKM) of RefineNet (PROTOCOL, "CPN").

    - ``loss_global``: half the mean squared error over levels, B, K, H and W, where the *target* of a joint that is
      not visible (2) is zeroed.
    - ``loss_refine``: on the narrowest kernel, each joint's mean squared error, zeroed unless labeled (> 0); the mean
      of the sample's ``ohkm_topk`` largest. Without OHKM: as the levels, weight 1.

    Args:
        level_order: ``'coarse_to_fine'``: the coarsest level learns the widest kernel, the finest the narrowest.
            ``'fine_to_coarse'``: the other way round, as tf-cpn's published models were trained (a comment in its
            network.py says that its order is the reverse of the original's).
        ohkm_topk: Joints that OHKM keeps, >= 1; all of them where there are fewer. ``None``: no OHKM.
        visibility: See :class:`VisibilityRule`.

    Raises:
        ValueError: A bad argument, heatmaps and targets that do not fit, or data that ``visibility`` refuses.
    """

    def __init__(self,
                 level_order: str = 'coarse_to_fine',
                 ohkm_topk: Optional[int] = 8,
                 visibility: str = 'official') -> None:
        super().__init__()
        if level_order not in ('coarse_to_fine', 'fine_to_coarse'):
            raise ValueError(f"level_order must be 'coarse_to_fine' or 'fine_to_coarse', got {level_order!r}")
        check_ohkm_topk(ohkm_topk)
        self.level_order = level_order
        self.ohkm_topk = ohkm_topk
        self.visibility_rule = VisibilityRule(visibility)

    def forward(self, outputs: Sequence[Sequence[Tensor]], targets: Tensor, visible: Tensor) -> Dict[str, Tensor]:
        """Both losses, to be summed.

        Args:
            outputs: GlobalNet's L heatmaps (B, K, H, W), coarse level first, and RefineNet's one.
            targets: (B, L, K, H, W), wide kernel first.
            visible: (B, K) or (B, 1, K), 0/1/2.

        Returns:
            ``loss_global`` and ``loss_refine``.
        """
        levels, (refined, ) = outputs
        if targets.ndim != 5 or targets.shape[1] != len(levels):
            raise ValueError(f'targets must be (B, L, K, H, W) with L = {len(levels)}, a kernel a level of GlobalNet, '
                             f'got {tuple(targets.shape)}')
        visible = visible.reshape(len(targets), -1)
        targets = targets.float()
        refined = refined.float()
        seen_targets = self.visibility_rule.seen_targets(targets, visible)
        of_levels = seen_targets if self.level_order == 'coarse_to_fine' else seen_targets.flip(1)
        loss_global = GLOBAL_WEIGHT * F.mse_loss(torch.stack(list(levels), 1).float(), of_levels)
        if self.ohkm_topk is None:
            loss_refine = F.mse_loss(refined, seen_targets[:, -1])
        else:
            loss_refine = hard_keypoint_error(refined, targets[:, -1], visible, self.ohkm_topk)
        return dict(loss_global=loss_global, loss_refine=loss_refine)
