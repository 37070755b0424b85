"""A ResNet whose bottlenecks end in lightpose's residual attention (docs/protocol.md, "lightpose")."""
import torch
from mmpose.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmpose_mspn.registry import MODELS

CHANNEL_KERNEL = 3
SPATIAL_KERNEL = 7
"""Kernel sizes of the convolutions of the channel attention and of the spatial attention."""


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
        ValueError: ``depth`` is another number.
    """

    arch_settings = {
        depth: (AttentionBottleneck, blocks)
        for depth, (block, blocks) in ResNet.arch_settings.items() if block is Bottleneck
    }

    def __init__(self, depth: int = 50, **kwargs) -> None:
        if depth not in self.arch_settings:
            raise ValueError(f'depth must be one of {list(self.arch_settings)}, got {depth}')
        super().__init__(depth, **kwargs)
