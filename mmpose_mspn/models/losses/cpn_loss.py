"""The loss of CPN: "Cascaded Pyramid Network for Multi-Person Pose Estimation", Chen et al., 2018, section 3.2."""
from typing import Dict, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.models.losses.multi_stage_heatmap_loss import VisibilityRule, check_ohkm_topk, hard_keypoint_error
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.numbers import is_finite


@MODELS.register_module()
class CPNHeatmapLoss(nn.Module):
    """Errors of GlobalNet's levels and of RefineNet (docs/protocol.md, "CPN").

    - ``loss_global``: the mean squared error over levels, B, K, H and W, with the *target* of a keypoint zeroed unless
      it is visible (2); times ``global_weight``.
    - ``loss_refine``: on the narrowest kernel, each keypoint's mean squared error, zeroed unless the keypoint is
      labeled (> 0), of which the ``ohkm_topk`` largest of a sample are averaged. Without OHKM: the mean squared error
      of the masked targets. Its weight is 1.

    Args:
        level_order: ``'coarse_to_fine'``: the coarsest level learns the widest kernel, the finest the narrowest.
            ``'fine_to_coarse'``: the reverse, as tf-cpn's published models were trained (a comment in its network.py
            says that its order is the reverse of the original's).
        ohkm_topk: Number of keypoints per sample that online hard keypoint mining (OHKM) keeps, >= 1; all K where K is
            smaller. ``None``: no OHKM.
        global_weight: Weight of ``loss_global``, finite and >= 0.
        visibility: Which keypoints the targets of GlobalNet show: ``'official'`` or ``'labeled'``, see
            :class:`VisibilityRule`.

    Raises:
        ConfigError: An argument is out of its range, the targets do not fit the heatmaps, or ``visibility`` refuses the
            data.
    """

    def __init__(self,
                 level_order: str = 'coarse_to_fine',
                 ohkm_topk: Optional[int] = 8,
                 global_weight: float = 0.5,
                 visibility: str = 'official') -> None:
        super().__init__()
        if level_order not in ('coarse_to_fine', 'fine_to_coarse'):
            raise ConfigError(f"level_order must be 'coarse_to_fine' or 'fine_to_coarse', got {level_order!r}")
        check_ohkm_topk(ohkm_topk)
        if not is_finite(global_weight) or global_weight < 0:
            raise ConfigError(f'global_weight must be finite and >= 0, got {global_weight!r}')
        self.level_order = level_order
        self.ohkm_topk = ohkm_topk
        self.global_weight = global_weight
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
            raise ConfigError(f'targets must be (B, L, K, H, W) with L = {len(levels)}, one kernel per level of '
                              f'GlobalNet, got {tuple(targets.shape)}')
        visible = visible.reshape(len(targets), -1)
        targets = targets.float()
        refined = refined.float()
        shown_targets = self.visibility_rule.shown_targets(targets, visible)
        level_targets = shown_targets if self.level_order == 'coarse_to_fine' else shown_targets.flip(1)
        loss_global = self.global_weight * F.mse_loss(torch.stack(list(levels), 1).float(), level_targets)
        if self.ohkm_topk is None:
            loss_refine = F.mse_loss(refined, shown_targets[:, -1])
        else:
            loss_refine = hard_keypoint_error(refined, targets[:, -1], visible, self.ohkm_topk)
        return dict(loss_global=loss_global, loss_refine=loss_refine)
