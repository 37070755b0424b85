"""Small models of every family, for the emulated GPU (tests/test_fake_cuda) and a real one (tests/test_cuda)."""
import copy
from collections import Counter
from contextlib import nullcontext
from typing import ContextManager, Optional

import torch
from mmpose.registry import MODELS
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.building import SMALL, codec

INPUT = (48, 64)
"""(w, h) px of the crops."""
FLIP = [0, 2, 1, *range(3, 17)]
MSPN_HEAD = dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, decoder=codec())
FAMILIES = dict(
    mspn=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=SMALL, unit_channels=16),
        head=MSPN_HEAD),
    recomputed=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=SMALL, unit_channels=16, with_cp=True),
        head=dict(MSPN_HEAD, with_cp=True)),
    cpn=dict(
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        head=dict(type='mmpose_mspn.CPNHead', out_channels=17, channels=16, in_channels=(64, 128, 256, 512),
                  decoder=codec(kernel_sizes=(15, 11, 9, 7)))),
    lightpose=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, unit_channels=16,
                      encoder=dict(type='mmpose_mspn.AttentionResNet', depth=50),
                      conv_cfg=dict(type='mmpose_mspn.GhostConv')),
        head=dict(MSPN_HEAD, num_stages=1, conv_cfg=dict(type='mmpose_mspn.GhostConv'))),
    rsn=dict(
        backbone=dict(type='RSN', unit_channels=16, num_stages=2, num_units=4, num_blocks=[1, 1, 1, 1], num_steps=4),
        head=MSPN_HEAD))
PRECISIONS = [None, torch.float16, torch.bfloat16]
"""Types of autocast; ``None``: without it."""
OPTIONS = dict(
    plain=dict(flip_test=False),
    flip=dict(flip_test=True),
    flip_and_shift_heatmap=dict(flip_test=True, shift_heatmap=True),
    heatmaps=dict(flip_test=True, output_heatmaps=True),
    shift=dict(flip_test=True, shift_test=[(0, 0), (4, 0), (-3, 2)]))
"""Settings of the test."""


def build(family: str, test_cfg: Optional[dict] = None) -> nn.Module:
    """A model in training mode, with its config as ``cfg``."""
    cfg = dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', mean=[120.] * 3, std=[60.] * 3),
        test_cfg=test_cfg, **FAMILIES[family])
    model = MODELS.build(copy.deepcopy(cfg))
    model.cfg = cfg
    return model


def autocast(dtype: Optional[torch.dtype]) -> ContextManager:
    return nullcontext() if dtype is None else torch.autocast('cuda', dtype)


class OperatorCounts(TorchDispatchMode):
    """Counts the operators that run within it.

    Attributes:
        calls: Calls by the operator's name, such as ``aten::_to_copy``, which converts a tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func._schema.name] += 1
        return func(*args, **(kwargs or {}))
