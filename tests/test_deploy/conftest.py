"""The model that the tests of deployment accelerate."""
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from tests.building import codec, samples, settle_norms

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> nn.Module:
    """A network of two stages whose norms have seen data, with the flip test."""
    made = MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor'),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, unit_channels=16,
                      encoder=dict(type='mmpose.ResNet', depth=50, stem_channels=16, base_channels=16)),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, decoder=codec()),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', output_heatmaps=True)))
    return settle_norms(made, IMAGES)


def heatmaps(model: nn.Module, images: torch.Tensor = IMAGES) -> torch.Tensor:
    """(B, K, H, W) as ``predict`` gives them for crops (B, 3, h, w)."""
    with torch.no_grad():
        found = model.predict(images, samples(len(images)))
    return torch.stack([sample.pred_fields.heatmaps for sample in found])
