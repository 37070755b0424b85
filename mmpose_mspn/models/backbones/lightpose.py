"""lightpose's parts for MSPN: ghost convolutions, and a ResNet whose bottlenecks end in residual attention.

The facts are in docs/protocol.md, "lightpose"; ghost convolutions are those of "GhostNet: More Features from Cheap
Operations", Han et al., 2020, in lightpose's setting.
"""
from typing import Optional, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from mmpose.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torch.utils.checkpoint import checkpoint

from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import ConfigError

Size = Union[int, Tuple[int, int]]

CHEAP_KERNEL = 3
"""Kernel size of the depthwise convolution of a ghost convolution."""
CHANNEL_KERNEL = 3
SPATIAL_KERNEL = 7
"""Kernel sizes of the convolutions of the channel attention and of the spatial attention."""


@MODELS.register_module()
class GhostConv(nn.Module):
    """Takes the place of a convolution of any kernel size: ``conv_cfg=dict(type='mmpose_mspn.GhostConv')``.

    Half of the channels, rounded up, come from a 1×1 convolution with the stride of the replaced convolution, whatever
    its kernel was. The others come from a 3×3 depthwise convolution of those. Each convolution is followed by a norm
    (docs/protocol.md, "lightpose").

    Args:
        in_channels: Channels of the input, >= 1.
        out_channels: Channels of the output, >= 2.
        kernel_size: Kernel size of the replaced convolution, odd; only the check of ``padding`` uses it.
        stride: Stride of the 1×1 convolution.
        padding: Padding of the replaced convolution. It must be ``dilation · (kernel_size - 1) / 2``, with which the
            replaced convolution has the same output size.
        dilation: Dilation of the depthwise convolution.
        groups: Groups of the 1×1 convolution; must divide ``in_channels`` and half of ``out_channels``.
        bias: Not used, since a norm with its own shift follows each convolution.
        norm_cfg: The norms; BN by default.

    Raises:
        ConfigError: An argument is out of its range.
    """

    transposed = False
    output_padding = (0, 0)

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: Size,
                 stride: Size = 1,
                 padding: Size = 0,
                 dilation: Size = 1,
                 groups: int = 1,
                 bias: bool = True,
                 norm_cfg: Optional[dict] = None) -> None:
        super().__init__()
        # mmcv's ConvModule reads these attributes of every convolution.
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        if in_channels < 1:
            raise ConfigError(f'in_channels must be >= 1, got {in_channels}')
        if out_channels < 2:
            raise ConfigError(f'out_channels must be >= 2, one for each half, got {out_channels}')
        self._check_padding()
        primary = (out_channels + 1) // 2
        if groups < 1 or in_channels % groups or primary % groups:
            raise ConfigError(f'groups must divide in_channels ({in_channels}) and half of out_channels ({primary}), '
                              f'got {groups}')
        self.cheap_channels = out_channels - primary
        args = dict(norm_cfg=norm_cfg or dict(type='BN'), act_cfg=None)
        self.primary = ConvModule(in_channels, primary, 1, stride=self.stride, groups=groups, **args)
        self.cheap = ConvModule(
            self.cheap_channels,
            self.cheap_channels,
            CHEAP_KERNEL,
            padding=tuple(size * (CHEAP_KERNEL // 2) for size in self.dilation),
            dilation=self.dilation,
            groups=self.cheap_channels,
            **args)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, in_channels, H, W) to features (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        primary = self.primary(x)
        return torch.cat([primary, self.cheap(primary[:, :self.cheap_channels])], 1)

    def _check_padding(self) -> None:
        for kernel, padding, dilation in zip(self.kernel_size, self.padding, self.dilation):
            if kernel < 1 or kernel % 2 == 0:
                raise ConfigError(f'kernel_size must be odd and >= 1, got {self.kernel_size}')
            if padding != dilation * (kernel // 2):
                raise ConfigError('padding must be dilation * (kernel_size - 1) / 2, because the 1×1 convolution keeps '
                                  f'the borders, got padding={self.padding} with kernel_size={self.kernel_size} and '
                                  f'dilation={self.dilation}')


class ResidualAttention(nn.Module):
    """x + x · channel(x) · spatial(x · channel(x)), where both attentions lie between 0 and 1.

    Channel attention: the sigmoid of a 1-D convolution over the channels' averages plus the same convolution over their
    maxima. Spatial attention: the sigmoid of a 7×7 convolution over the maximum and the mean of the weighted channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channel = nn.Conv1d(1, 1, CHANNEL_KERNEL, padding=CHANNEL_KERNEL // 2, bias=False)
        self.spatial = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to features of the same shape."""
        # The convolution is linear and has no bias, so that of the sum is the sum of both.
        pooled = x.mean((2, 3)) + x.amax((2, 3))
        weighted = x * self.channel(pooled[:, None]).sigmoid()[:, 0, :, None, None]
        over_channels = torch.cat([weighted.amax(1, keepdim=True), weighted.mean(1, keepdim=True)], 1)
        return x + weighted * self.spatial(over_channels).sigmoid()


class AttentionBottleneck(Bottleneck):
    """mmpose's bottleneck with the attention at the end of its branch, before the shortcut is added."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.attention = ResidualAttention()

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to features (B, out_channels, H / stride, W / stride)."""
        if self.with_cp and x.requires_grad:
            return self.relu(checkpoint(self._sum, x, use_reentrant=False))
        return self.relu(self._sum(x))

    def _sum(self, x: Tensor) -> Tensor:
        branch = self.relu(self.norm1(self.conv1(x)))
        branch = self.relu(self.norm2(self.conv2(branch)))
        branch = self.attention(self.norm3(self.conv3(branch)))
        return branch + (x if self.downsample is None else self.downsample(x))


@MODELS.register_module()
class AttentionResNet(ResNet):
    """ResNet with :class:`ResidualAttention` in every bottleneck: ``encoder=dict(type='mmpose_mspn.AttentionResNet')``.

    Args:
        depth: 50, 101 or 152; smaller ResNets have no bottlenecks.
        kwargs: Other arguments of mmpose's ``ResNet``.

    Raises:
        ConfigError: ``depth`` is another number.
    """

    arch_settings = {
        depth: (AttentionBottleneck, blocks)
        for depth, (block, blocks) in ResNet.arch_settings.items() if block is Bottleneck
    }

    def __init__(self, depth: int = 50, **kwargs) -> None:
        if depth not in self.arch_settings:
            raise ConfigError(f'depth must be one of {list(self.arch_settings)}, got {depth}')
        super().__init__(depth, **kwargs)
