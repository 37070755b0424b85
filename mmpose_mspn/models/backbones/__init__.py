"""MSPN's backbone, and encoders and convolutions for its stages."""
from .lightpose import AttentionResNet, GhostConv
from .mspn import MSPN

__all__ = ['AttentionResNet', 'GhostConv', 'MSPN']
