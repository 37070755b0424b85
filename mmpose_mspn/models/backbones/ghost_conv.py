"""Ghost convolution: "GhostNet: More Features from Cheap Operations", Han et al., 2020, in lightpose's setting."""
from typing import Optional, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from mmpose_mspn.registry import MODELS

Size = Union[int, Tuple[int, int]]

CHEAP_KERNEL = 3
"""Kernel size of the depthwise convolution."""


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
        ValueError: An argument is out of its range.
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
            raise ValueError(f'in_channels must be >= 1, got {in_channels}')
        if out_channels < 2:
            raise ValueError(f'out_channels must be >= 2, one for each half, got {out_channels}')
        self._check_padding()
        primary = (out_channels + 1) // 2
        if groups < 1 or in_channels % groups or primary % groups:
            raise ValueError(f'groups must divide in_channels ({in_channels}) and half of out_channels ({primary}), '
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
                raise ValueError(f'kernel_size must be odd and >= 1, got {self.kernel_size}')
            if padding != dilation * (kernel // 2):
                raise ValueError('padding must be dilation * (kernel_size - 1) / 2, because the 1×1 convolution keeps '
                                 f'the borders, got padding={self.padding} with kernel_size={self.kernel_size} and '
                                 f'dilation={self.dilation}')
