"""CPN's GlobalNet and RefineNet: "Cascaded Pyramid Network for Multi-Person Pose Estimation", Chen et al., 2018.

The forerunner of MSPN, on any backbone that returns a pyramid, such as mmpose's ``ResNet(out_indices=(0, 1, 2, 3))``.
Facts that the paper leaves open are tf-cpn's (docs/protocol.md, "CPN"): no ReLU behind the top-down sum, and a norm
behind every convolution but the top-down ones. tf-cpn resizes by TensorFlow's earlier corner rule, this head as MSPN
does.
"""
from typing import List, Optional, Sequence, Union

import torch
from mmcv.cnn import ConvModule
from mmpose.models.backbones.resnet import Bottleneck, ResLayer
from torch import Tensor, nn

from mmpose_mspn.models.heads.base_heatmap_head import (
    FROM_LOSS,
    BaseHeatmapHead,
    TopK,
    check_sizes,
    heatmap_predictor,
    loss_config,
)
from mmpose_mspn.models.losses.cpn_loss import CPNHeatmapLoss
from mmpose_mspn.models.utils import resize_heatmaps, resize_to
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import ConfigError

EXPANSION = 2
"""Output channels of a bottleneck, 256, divided by the channels of its 3×3 convolution, 128."""


class GlobalNet(nn.Module):
    """Top-down features of every level.

    Args:
        in_channels: Channels of the backbone's features, fine to coarse.
        channels: Channels of the features of every level.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of the convolutions.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, conv_args: dict) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvModule(size, channels, 1, **conv_args) for size in in_channels)
        top_down_args = dict(conv_args, norm_cfg=None)
        self.top_downs = nn.ModuleList(
            ConvModule(channels, channels, 1, act_cfg=None, **top_down_args) for _ in in_channels[1:])

    def forward(self, feats: Sequence[Tensor]) -> List[Tensor]:
        """Features (B, channels, H', W') of each level, fine to coarse, of the resolutions of ``feats``."""
        laterals = [lateral(feature) for lateral, feature in zip(self.laterals, feats)]
        merged = [laterals.pop()]
        for lateral, top_down in zip(reversed(laterals), reversed(self.top_downs)):
            merged.append(lateral + top_down(resize_to(merged[-1], lateral.shape[2:])))
        return merged[::-1]


class RefineNet(nn.Module):
    """One feature from all levels: level i, counted from the finest, passes i bottlenecks, then all are concatenated.

    Args:
        num_levels: Number of levels.
        channels: Channels of the levels and of the result, even.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of the convolutions.
    """

    def __init__(self, num_levels: int, channels: int, conv_args: dict) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Identity()])
        for level in range(1, num_levels):
            self.branches.append(
                ResLayer(Bottleneck, level, channels, channels, expansion=EXPANSION, **conv_args))
        self.merge = ResLayer(Bottleneck, 1, num_levels * channels, channels, expansion=EXPANSION, **conv_args)

    def forward(self, feats: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """The feature (B, channels, H, W) of ``size`` (H, W) from the levels' features, fine to coarse."""
        levels = [resize_to(branch(feature), size) for branch, feature in zip(self.branches, feats)]
        return self.merge(torch.cat(levels, 1))


@MODELS.register_module()
class CPNHead(BaseHeatmapHead):
    """Heatmaps, losses and prediction of CPN.

    Every level of GlobalNet has a predictor, which only training runs; prediction runs RefineNet's.

    Args:
        out_channels: K >= 1, keypoints.
        decoder: Config of :class:`CoarseToFineHeatmap` with one kernel size per level, such as
            ``kernel_sizes=(15, 11, 9, 7)``.
        in_channels: Channels of the backbone's features, fine to coarse, at least two; the default is that of ResNet-50
            and deeper ones.
        channels: Channels of the levels, even, >= 2.
        level_order: If given, replaces this argument of the default ``loss``.
        ohkm_topk: If given, replaces this argument of the default ``loss``; ``None``: no OHKM.
        loss: Config of the loss; the default is :class:`CPNHeatmapLoss` with its own defaults. A loss of another
            ``type`` gets exactly these arguments; :class:`BaseHeatmapHead` says how it is called.
        norm_cfg: Norm behind every convolution but the top-down ones, which have none.
        conv_cfg: Type of every convolution; ``None`` is a plain one.
        init_cfg: Initialization; the default is tf-cpn's for these convolutions, Xavier.

    Raises:
        ConfigError: A size is out of range, the kernels do not fit the levels, or ``level_order`` or ``ohkm_topk`` is
            given although ``loss`` is of another type.
    """

    def __init__(self,
                 out_channels: int,
                 decoder: dict,
                 in_channels: Sequence[int] = (256, 512, 1024, 2048),
                 channels: int = 256,
                 level_order: Optional[str] = None,
                 ohkm_topk: TopK = FROM_LOSS,
                 loss: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(
            out_channels,
            decoder,
            loss_config(
                loss,
                CPNHeatmapLoss,
                level_order=FROM_LOSS if level_order is None else level_order,
                ohkm_topk=ohkm_topk),
            init_cfg or [
                dict(type='Xavier', layer='Conv2d', distribution='uniform'),
                dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1)
            ])
        if len(in_channels) < 2:
            raise ConfigError(f'in_channels must hold at least two levels, fine to coarse, got {tuple(in_channels)}')
        check_sizes(**{f'in_channels[{level}]': size for level, size in enumerate(in_channels)})
        if channels < EXPANSION or channels % EXPANSION:
            raise ConfigError(f'channels must be even and >= 2, got {channels}')
        if len(self.decoder.kernel_sizes) != len(in_channels):
            raise ConfigError(f'decoder must have one of kernel_sizes per level of in_channels, {len(in_channels)}, '
                              f'got {self.decoder.kernel_sizes}')
        self.in_channels = tuple(in_channels)
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        self.global_net = GlobalNet(in_channels, channels, conv_args)
        self.global_predictors = nn.ModuleList(
            heatmap_predictor(channels, out_channels, conv_args) for _ in in_channels)
        self.refine_net = RefineNet(len(in_channels), channels, conv_args)
        # In a container, which keeps mmengine from initializing this convolution a second time by ConvModule's rule.
        self.refine_predictor = nn.Sequential(
            ConvModule(channels, out_channels, 3, padding=1, act_cfg=None, **conv_args))

    def forward(self, feats: Sequence[Tensor]) -> List[List[Tensor]]:
        """Heatmaps (B, K, H, W): a list of GlobalNet's, coarse level first, and a list of RefineNet's one."""
        levels = self._levels(feats)
        coarse_first = [
            resize_heatmaps(predictor(level), self.heatmap_shape)
            for predictor, level in zip(reversed(self.global_predictors), reversed(levels))
        ]
        return [coarse_first, [self._refined(levels)]]

    def forward_last(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmaps (B, K, H, W) of RefineNet, computed without GlobalNet's predictors."""
        return self._refined(self._levels(feats))

    def _levels(self, feats: Sequence[Tensor]) -> List[Tensor]:
        channels = tuple(feature.shape[1] for feature in feats)
        if channels != self.in_channels:
            raise ConfigError(f'the backbone gave features of {channels} channels, the head has in_channels='
                              f'{self.in_channels}: let the backbone return all levels (out_indices=(0, 1, 2, 3))')
        return self.global_net(feats)

    def _refined(self, levels: List[Tensor]) -> Tensor:
        return self.refine_predictor(self.refine_net(levels, self.heatmap_shape))
