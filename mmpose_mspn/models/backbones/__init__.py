"""MSPN's backbone, and encoders and convolutions for its stages."""
from .attention_resnet import AttentionResNet
from .ghost_conv import GhostConv
from .mspn import MSPN

__all__ = ['AttentionResNet', 'GhostConv', 'MSPN']
