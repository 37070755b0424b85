"""MSPN, and what its single-stage modules can be made of."""
from .attention_resnet import AttentionResNet
from .ghost_conv import GhostConv
from .mspn import MSPN

__all__ = ['AttentionResNet', 'GhostConv', 'MSPN']
