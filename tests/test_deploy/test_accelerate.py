"""Accelerated copies predict the same."""
import sys

import pytest
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm

from mmpose_mspn import accelerate
from tests.test_deploy.conftest import heatmaps

MODULE = sys.modules['mmpose_mspn.deploy.accelerate']
"""The package has the function under this name."""


def test_the_same_heatmaps_without_a_norm_left(model):
    fast = accelerate(model)
    expected = heatmaps(model)
    torch.testing.assert_close(heatmaps(fast), expected, rtol=0, atol=1e-4 * expected.std().item())
    assert not any(isinstance(module, _BatchNorm) for module in fast.modules())
    assert any(isinstance(module, _BatchNorm) for module in model.modules())  # the model stays as it was


def test_weights_lie_channels_last_where_nothing_is_packed(model, monkeypatch):
    monkeypatch.setattr(MODULE, 'can_pack', lambda device, dtype: False)
    fast = accelerate(model)
    weight = fast.backbone.stages[0].encoder.layer1[0].conv2.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    expected = heatmaps(model)
    torch.testing.assert_close(heatmaps(fast), expected, rtol=0, atol=1e-4 * expected.std().item())


@pytest.mark.parametrize('packed', (True, False))
def test_bf16_runs_in_bf16_and_stays_close(model, packed, monkeypatch):
    if not packed:
        monkeypatch.setattr(MODULE, 'can_pack', lambda device, dtype: False)
    fast = accelerate(model, torch.bfloat16)
    kinds = []
    fast.backbone.register_forward_hook(lambda module, inputs, output: kinds.append(output[1][3].dtype))
    found, expected = heatmaps(fast), heatmaps(model)
    assert kinds == [torch.bfloat16]
    assert (found - expected).std() < 0.1 * expected.std()


def test_a_batch_passes_in_pieces(model):
    """Room for two crops of 64 × 48 px: each sample's crop with its mirrored one."""
    fast, expected = accelerate(model), heatmaps(model)
    fast.pixels_per_piece = 2 * 64 * 48
    batches = []
    fast.backbone.register_forward_hook(lambda module, inputs, output: batches.append(len(inputs[0])))
    torch.testing.assert_close(heatmaps(fast), expected, rtol=0, atol=1e-4 * expected.std().item())
    assert batches == [2, 2]


def test_one_pass_for_both_halves_of_the_flip_test(model):
    batches = []
    model.backbone.register_forward_hook(lambda module, inputs, output: batches.append(len(inputs[0])))
    heatmaps(model)
    assert batches == [4]


def test_another_type_is_refused(model):
    with pytest.raises(ValueError, match='dtype must be None, torch.bfloat16 or torch.float16, got torch.int8'):
        accelerate(model, torch.int8)


def test_a_copy_is_not_accelerated_again(model):
    with pytest.raises(ValueError, match='model is an accelerated copy already'):
        accelerate(accelerate(model))
