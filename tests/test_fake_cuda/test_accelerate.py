"""Accelerated copies on the emulated GPU."""
import copy

import pytest
import torch
from torch import nn

from mmpose_mspn import accelerate
from tests.building import samples, settle_norms
from tests.families import FLIP, INPUT, OperatorCounts, build
from tests.test_fake_cuda.fake_cuda import CUDA, FakeCuda, needs_marks

pytestmark = needs_marks


@pytest.fixture
def model() -> nn.Module:
    return settle_norms(build('mspn', dict(flip_test=True, output_heatmaps=True)), torch.randn(4, 3, *INPUT[::-1]))


def predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = model.predict(images, samples(flip_indices=FLIP))
    return torch.stack([sample.pred_fields.heatmaps for sample in found])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_weights_are_converted_once_and_heads_stay_in_float32(model, dtype):
    images = torch.randn(2, 3, *INPUT[::-1])
    expected = predict(model, images)
    with FakeCuda() as gpu:
        model.to('cuda')
        fast = accelerate(model, dtype)
        assert {weight.dtype for weight in fast.backbone.parameters()} == {dtype}
        assert {weight.dtype for weight in fast.head.parameters()} == {torch.float32}
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        images = images.to('cuda')
        predict(fast, images)
        counted = OperatorCounts()
        with gpu.counted() as waits, counted:
            found = predict(fast, images)
        assert waits == {'a blocking copy to cpu': 1}
        convolutions = counted.calls['aten::convolution']
        # In float16, the emulation itself converts around each convolution.
        if dtype == torch.bfloat16:
            assert counted.calls['aten::_to_copy'] < 10 < convolutions
        assert found.dtype == torch.float32 and found.device == CUDA
        found = found.cpu()
    gap = (found - expected).abs().max() / expected.std()
    assert gap < (.02 if dtype == torch.float16 else .15), gap


def test_a_copy_of_it_predicts_the_same(model):
    images = torch.randn(2, 3, *INPUT[::-1])
    with FakeCuda():
        fast = accelerate(model.to('cuda'), torch.bfloat16)
        images = images.to('cuda')
        assert torch.equal(predict(fast, images), predict(copy.deepcopy(fast), images))


def test_float32_stays_float32(model):
    images = torch.randn(2, 3, *INPUT[::-1])
    expected = predict(model, images)
    with FakeCuda():
        fast = accelerate(model.to('cuda'))
        assert {weight.dtype for weight in fast.parameters()} == {torch.float32}
        torch.testing.assert_close(predict(fast, images.to('cuda')).cpu(), expected, rtol=1e-3, atol=1e-4)
