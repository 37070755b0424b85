"""MSPN's head: a predictor of heatmaps for every unit of every stage."""
from typing import List, Optional, Sequence, Union

from torch import Tensor, nn

from mmpose_mspn.models.heads.base_heatmap_head import (
    FROM_LOSS,
    BaseHeatmapHead,
    TopK,
    check_sizes,
    heatmap_predictor,
    loss_config,
)
from mmpose_mspn.models.losses.multi_stage_heatmap_loss import MultiStageHeatmapLoss
from mmpose_mspn.models.utils import recompute, resize_heatmaps, resize_to
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.arguments import refuse_unknown_arguments
from mmpose_mspn.utils.errors import ConfigError

MultiStageFeatures = Sequence[Sequence[Tensor]]
"""[stage][unit] (B, C, H', W'), coarse unit first, as mmpose's MSPN and RSN return them too."""


@MODELS.register_module()
class MSPNHead(BaseHeatmapHead):
    """Heatmaps, losses and prediction for :class:`MSPN`, and for mmpose's own MSPN and RSN.

    Every unit has a predictor (1×1 convolution with norm and ReLU, 3×3 convolution with norm, resize to the heatmap's
    size). Training runs all predictors, prediction only that of the last stage's last unit.

    Args:
        num_stages: S >= 1, as in the backbone.
        out_channels: K >= 1, keypoints.
        decoder: Config of :class:`CoarseToFineHeatmap`, which renders the targets, gives the heatmap's size and
            decodes.
        num_units: U >= 1, units of a stage.
        unit_channels: Channels of the backbone's features, >= 1.
        coarse_to_fine: If given, replaces this argument of the default ``loss``.
        ohkm_topk: If given, replaces this argument of the default ``loss``; ``None``: no OHKM.
        loss: Config of the loss; the default is :class:`MultiStageHeatmapLoss` with its own defaults. A loss of another
            ``type`` gets exactly these arguments; :class:`BaseHeatmapHead` says how it is called.
        norm_cfg: Norm behind every convolution.
        conv_cfg: Type of every convolution; ``None`` is a plain one.
        with_cp: Whether the predictors' activations are recomputed in the backward pass, as with the backbone's
            ``with_cp``.
        init_cfg: Initialization; the default is mmpose's for this head.

    Raises:
        ConfigError: A size is out of range, the loss has not one weight per stage and unit, or ``coarse_to_fine`` or
            ``ohkm_topk`` is given although ``loss`` is of another type.
    """

    @refuse_unknown_arguments(dict(
        out_shape="omit it: the size is decoder's heatmap_size",
        level_indices='omit it: loss=dict(coarse_to_fine=...) decides which kernel each unit learns',
        use_prm='there is none; it belongs to RSN with mmpose\'s own MSPNHead',
        keypoint_num='write out_channels'))
    def __init__(self,
                 num_stages: int,
                 out_channels: int,
                 decoder: dict,
                 num_units: int = 4,
                 unit_channels: int = 256,
                 coarse_to_fine: Optional[bool] = None,
                 ohkm_topk: TopK = FROM_LOSS,
                 loss: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 with_cp: bool = False,
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(
            out_channels,
            decoder,
            loss_config(
                loss,
                MultiStageHeatmapLoss,
                coarse_to_fine=FROM_LOSS if coarse_to_fine is None else coarse_to_fine,
                ohkm_topk=ohkm_topk),
            init_cfg or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1)
            ])
        check_sizes(num_stages=num_stages, num_units=num_units, unit_channels=unit_channels)
        self.num_stages, self.num_units, self.unit_channels = num_stages, num_units, unit_channels
        self.with_cp = with_cp
        if isinstance(self.loss_module, MultiStageHeatmapLoss):
            self.loss_module.check_number_of_weights(num_stages, num_units)
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        self.predictors = nn.ModuleList(
            nn.ModuleList(heatmap_predictor(unit_channels, out_channels, conv_args) for _ in range(num_units))
            for _ in range(num_stages))

    def forward(self, feats: MultiStageFeatures) -> List[List[Tensor]]:
        """Heatmaps [stage][unit] (B, K, H, W) of all predictors."""
        self._check_features(feats)
        return [[resize_heatmaps(self._run(predictor, feature), self.heatmap_shape)
                 for predictor, feature in zip(predictors, features)]
                for predictors, features in zip(self.predictors, feats)]

    def _run(self, predictor: nn.Module, feature: Tensor) -> Tensor:
        return recompute(predictor, feature) if self.with_cp and self.training else predictor(feature)

    def forward_last(self, feats: MultiStageFeatures) -> Tensor:
        """Heatmaps (B, K, H, W) of the last stage's last unit, computed by its predictor alone."""
        self._check_features(feats)
        return resize_to(self.predictors[-1][-1](feats[-1][-1]), self.heatmap_shape)

    def _check_features(self, feats: MultiStageFeatures) -> None:
        if any(isinstance(units, Tensor) for units in feats):
            raise ConfigError('the backbone gave one feature map per level, the head takes those of all stages and '
                              "units: take mmpose_mspn.MSPN with output='all', or mmpose's MSPN or RSN, as backbone")
        shape = [len(units) for units in feats]
        if shape != [self.num_units] * self.num_stages:
            raise ConfigError(f'the backbone gave {len(shape)} stages of {shape} units, the head has '
                              f'num_stages={self.num_stages} and num_units={self.num_units}')
        channels = feats[-1][-1].shape[1]
        if channels != self.unit_channels:
            raise ConfigError(f'the backbone gave {channels} channels, the head has unit_channels={self.unit_channels}')
