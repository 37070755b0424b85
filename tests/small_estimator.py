"""A small top-down estimator, its crops, and what it predicts."""
import copy
from typing import Any, Dict, Optional, Tuple

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn

from tests import building

INPUT = (48, 64)
"""(w, h) px of the crops."""
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
"""COCO's keypoints of the other side."""
HEATMAP_HEAD = dict(type='mmpose.HeatmapHead', in_channels=16, out_channels=17, deconv_out_channels=None,
                    decoder=dict(type='mmpose.MSRAHeatmap', input_size=INPUT, heatmap_size=(12, 16), sigma=2))
"""A head of mmpose that takes the backbone's one map of ``output='final'``."""


def config_of(num_stages: int = 1, **changes: Any) -> Dict[str, Any]:
    """The config of the estimator, with MSPN's head and the flip test."""
    return dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', mean=[100., 110., 120.], std=[50., 60., 70.]),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=num_stages, encoder=building.SMALL, unit_channels=16),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=num_stages, out_channels=17, unit_channels=16,
                  decoder=building.codec(INPUT)),
        test_cfg=dict(flip_test=True, output_heatmaps=True),
        **changes)


def build(config: Dict[str, Any]) -> nn.Module:
    """A config's model in eval mode, always with the same random weights."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    return model.eval()


def crops(batch: int = 2) -> Tensor:
    """(B, 3, h, w), always the same ones."""
    return torch.randn(batch, 3, INPUT[1], INPUT[0], generator=torch.Generator().manual_seed(1))


def predict(model: nn.Module, inputs: Optional[Tensor] = None) -> Tuple[Tensor, list]:
    """Heatmaps (B, K, H, W) and samples that a model predicts from crops, :func:`crops` unless given."""
    inputs = crops() if inputs is None else inputs
    with torch.no_grad():
        samples = model(inputs, building.samples(len(inputs), flip_indices=FLIP), mode='predict')
    return torch.stack([sample.pred_fields.heatmaps for sample in samples]), samples
