"""Heads of MSPN and CPN, which predict several heatmaps of the same keypoints."""
from .cpn_head import CPNHead
from .mspn_head import MSPNHead

__all__ = ['CPNHead', 'MSPNHead']
