"""CPN's GlobalNet and RefineNet: "Cascaded Pyramid Network for Multi-Person Pose Estimation", Chen et al., 2018.

The forerunner of MSPN, on any backbone that returns a pyramid: mmpose's ``ResNet(out_indices=(0, 1, 2, 3))``. Facts
that the paper leaves open are tf-cpn's (PROTOCOL, "CPN"): no ReLU behind the top-down sum, a norm behind every conv
but the top-down ones. tf-cpn resizes by TensorFlow's old corner rule, this head as MSPN does.
"""
from typing import List, Optional, Sequence, Union

import torch
from mmcv.cnn import ConvModule
from mmpose.models.backbones.resnet import Bottleneck, ResLayer
from torch import Tensor, nn

from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead, check_sizes, heatmap_predictor
from mmpose_mspn.models.utils.resize import resize_to
from mmpose_mspn.registry import MODELS

EXPANSION = 2
"""Channels of a bottleneck's ends over those inside: 256 / 128."""


class GlobalNet(nn.Module):
    """Top-down features of every level.

    Args:
        in_channels: Channels of the backbone's features, fine to coarse.
        channels: C, channels of the result.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of the convs.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, conv_args: dict) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvModule(size, channels, 1, **conv_args) for size in in_channels)
        top_down_args = dict(conv_args, norm_cfg=None)
        self.top_downs = nn.ModuleList(
            ConvModule(channels, channels, 1, act_cfg=None, **top_down_args) for _ in in_channels[1:])

    def forward(self, feats: Sequence[Tensor]) -> List[Tensor]:
        """Features (B, C, H', W') of each level, fine to coarse, like the backbone's ``feats``."""
        laterals = [lateral(feature) for lateral, feature in zip(self.laterals, feats)]
        merged = [laterals.pop()]
        for lateral, top_down in zip(reversed(laterals), reversed(self.top_downs)):
            merged.append(lateral + top_down(resize_to(merged[-1], lateral.shape[2:])))
        return merged[::-1]


class RefineNet(nn.Module):
    """One feature out of all levels: level i, counted from the finest, passes i bottlenecks before they meet.

    Args:
        num_levels: Levels.
        channels: C, channels of the levels and of the result, even.
        conv_args: ``conv_cfg`` and ``norm_cfg`` of the convs.
    """

    def __init__(self, num_levels: int, channels: int, conv_args: dict) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Identity()])
        for level in range(1, num_levels):
            self.branches.append(
                ResLayer(Bottleneck, level, channels, channels, expansion=EXPANSION, **conv_args))
        self.merge = ResLayer(Bottleneck, 1, num_levels * channels, channels, expansion=EXPANSION, **conv_args)

    def forward(self, feats: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """(B, C, H, W) of ``size`` from the levels' features, fine to coarse."""
        levels = [resize_to(branch(feature), size) for branch, feature in zip(self.branches, feats)]
        return self.merge(torch.cat(levels, 1))


@MODELS.register_module()
class CPNHead(BaseHeatmapHead):
    """Heatmaps, losses and prediction of CPN.

    Every level of GlobalNet has a predictor, which trains only; prediction runs RefineNet's.

    Args:
        out_channels: K >= 1, keypoints.
        decoder: Config of :class:`CoarseToFineHeatmap` with one kernel size a level: ``kernel_sizes=(15, 11, 9, 7)``.
            Required.
        in_channels: Channels of the backbone's features, fine to coarse, at least two; ResNet-50's and -101's by
            default.
        channels: Channels of the levels, even, >= 2.
        level_order: See :class:`CPNHeatmapLoss`.
        ohkm_topk: See :class:`CPNHeatmapLoss`.
        loss: Config of the loss; takes the two switches above from this head.
        norm_cfg: Norm of every conv but the top-down ones, which have none.
        conv_cfg: Type of every conv; ``None`` is a plain one.
        init_cfg: Initialization; the default is tf-cpn's for these convs, Xavier.

    Raises:
        ValueError: A size is out of range, the kernels do not fit the levels, or a switch stands in ``loss``.
    """

    def __init__(self,
                 out_channels: int,
                 decoder: dict,
                 in_channels: Sequence[int] = (256, 512, 1024, 2048),
                 channels: int = 256,
                 level_order: str = 'coarse_to_fine',
                 ohkm_topk: Optional[int] = 8,
                 loss: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(
            out_channels,
            decoder,
            {'type': 'mmpose_mspn.CPNHeatmapLoss', **(loss or {})},
            dict(level_order=level_order, ohkm_topk=ohkm_topk),
            init_cfg or [
                dict(type='Xavier', layer='Conv2d', distribution='uniform'),
                dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1)
            ])
        if len(in_channels) < 2:
            raise ValueError(f'in_channels must hold at least two levels, fine to coarse, got {tuple(in_channels)}')
        check_sizes(**{f'in_channels[{level}]': size for level, size in enumerate(in_channels)})
        if channels < EXPANSION or channels % EXPANSION:
            raise ValueError(f'channels must be even and >= 2, got {channels}')
        if len(self.decoder.kernel_sizes) != len(in_channels):
            raise ValueError(f'decoder must have one of kernel_sizes a level of in_channels, {len(in_channels)}, got '
                             f'{self.decoder.kernel_sizes}')
        self.in_channels = tuple(in_channels)
        conv_args = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'))
        self.global_net = GlobalNet(in_channels, channels, conv_args)
        self.global_predictors = nn.ModuleList(
            heatmap_predictor(channels, out_channels, conv_args) for _ in in_channels)
        self.refine_net = RefineNet(len(in_channels), channels, conv_args)
        # In a container, which keeps mmengine from initializing this conv a second time by ConvModule's own rule.
        self.refine_predictor = nn.Sequential(
            ConvModule(channels, out_channels, 3, padding=1, act_cfg=None, **conv_args))

    def forward(self, feats: Sequence[Tensor]) -> List[List[Tensor]]:
        """Heatmaps (B, K, H, W): GlobalNet's, coarse level first, and RefineNet's one."""
        levels = self._levels(feats)
        coarse_first = [
            resize_to(predictor(level), self.heatmap_shape)
            for predictor, level in zip(reversed(self.global_predictors), reversed(levels))
        ]
        return [coarse_first, [self._refined(levels)]]

    def forward_last(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmaps (B, K, H, W) of RefineNet."""
        return self._refined(self._levels(feats))

    def _levels(self, feats: Sequence[Tensor]) -> List[Tensor]:
        channels = tuple(feature.shape[1] for feature in feats)
        if channels != self.in_channels:
            raise ValueError(f'the backbone gave features of {channels} channels, the head has in_channels='
                             f'{self.in_channels}: let the backbone return all levels (out_indices=(0, 1, 2, 3))')
        return self.global_net(feats)

    def _refined(self, levels: List[Tensor]) -> Tensor:
        return self.refine_predictor(self.refine_net(levels, self.heatmap_shape))
