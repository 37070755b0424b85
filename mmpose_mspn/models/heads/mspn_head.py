"""Predictors of MSPN: a heatmap for every unit of every stage."""
from typing import List, Optional, Sequence, Union

from torch import Tensor, nn

from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead, check_sizes, heatmap_predictor
from mmpose_mspn.models.utils.recompute import recompute
from mmpose_mspn.models.utils.resize import resize_to
from mmpose_mspn.registry import MODELS

MultiStageFeatures = Sequence[Sequence[Tensor]]
"""[stage][unit] (B, C, H', W'), coarse unit first, as mmpose's MSPN and RSN return them too."""


@MODELS.register_module()
class MSPNHead(BaseHeatmapHead):
    """Heatmaps, losses and prediction for :class:`MSPN`, and for mmpose's own MSPN and RSN.

    Every unit has a predictor (1×1 conv-norm-ReLU, 3×3 conv-norm, resize to the heatmap's size). Training runs all
    of them; prediction only the last stage's last unit's.

    Args:
        num_stages: S >= 1, as the backbone's.
        out_channels: K >= 1, keypoints.
        num_units: U >= 1, units of a stage.
        unit_channels: Channels of the features, >= 1.
        coarse_to_fine: See :class:`MultiStageHeatmapLoss`.
        ohkm_topk: See :class:`MultiStageHeatmapLoss`.
        loss: Config of the loss; takes the two switches above from this head.
        decoder: Config of :class:`CoarseToFineHeatmap`, which renders the targets, gives the heatmap's size and
            decodes. Required.
        norm_cfg: Norm of every conv.
        conv_cfg: Type of every conv; ``None`` is a plain one.
        with_cp: Recompute the predictors' activations in the backward pass, as the backbone's ``with_cp`` does.
        init_cfg: Initialization; the default is mmpose's for this head.

    Raises:
        ValueError: A size is out of range, or a switch stands in ``loss``.
    """

    def __init__(self,
                 num_stages: int,
                 out_channels: int,
                 decoder: dict,
                 num_units: int = 4,
                 unit_channels: int = 256,
                 coarse_to_fine: bool = True,
                 ohkm_topk: Optional[int] = 8,
                 loss: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 with_cp: bool = False,
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(
            out_channels,
            decoder,
            {'type': 'mmpose_mspn.MultiStageHeatmapLoss', **(loss or {})},
            dict(coarse_to_fine=coarse_to_fine, ohkm_topk=ohkm_topk),
            init_cfg or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1)
            ])
        check_sizes(num_stages=num_stages, num_units=num_units, unit_channels=unit_channels)
        self.num_stages, self.num_units, self.unit_channels = num_stages, num_units, unit_channels
        self.with_cp = with_cp
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        self.predictors = nn.ModuleList(
            nn.ModuleList(heatmap_predictor(unit_channels, out_channels, conv_args) for _ in range(num_units))
            for _ in range(num_stages))

    def forward(self, feats: MultiStageFeatures) -> List[List[Tensor]]:
        """Heatmaps [stage][unit] (B, K, H, W) of all predictors."""
        self._check_features(feats)
        return [[resize_to(self._run(predictor, feature), self.heatmap_shape)
                 for predictor, feature in zip(predictors, features)]
                for predictors, features in zip(self.predictors, feats)]

    def _run(self, predictor: nn.Module, feature: Tensor) -> Tensor:
        return recompute(predictor, feature) if self.with_cp and self.training else predictor(feature)

    def forward_last(self, feats: MultiStageFeatures) -> Tensor:
        """Heatmaps (B, K, H, W) of the last stage's last unit, all that prediction needs."""
        self._check_features(feats)
        return resize_to(self.predictors[-1][-1](feats[-1][-1]), self.heatmap_shape)

    def _check_features(self, feats: MultiStageFeatures) -> None:
        shape = [len(units) for units in feats]
        if shape != [self.num_units] * self.num_stages:
            raise ValueError(f'the backbone gave {len(shape)} stages of {shape} units, the head has '
                             f'num_stages={self.num_stages} and num_units={self.num_units}')
        channels = feats[-1][-1].shape[1]
        if channels != self.unit_channels:
            raise ValueError(f'the backbone gave {channels} channels, the head has unit_channels={self.unit_channels}')
