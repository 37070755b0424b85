"""Accelerated copies on a GPU: how far their keypoints move, and what they convert."""
from typing import Optional, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from mmpose_mspn import accelerate
from tests.building import settle_norms
from tests.families import OperatorCounts, build
from tests.test_cuda.on_device import crops, people, waits


@pytest.fixture
def model() -> nn.Module:
    model = build('mspn', dict(flip_test=True, output_heatmaps=True)).cuda()
    return settle_norms(model, crops().cuda())


def predict(model: nn.Module, images: Tensor, batch: Optional[list] = None) -> Tuple[Tensor, np.ndarray]:
    batch = batch or people('cuda')
    with torch.no_grad():
        found = model.predict(images, batch)
    return (torch.stack([sample.pred_fields.heatmaps for sample in found]).cpu(),
            np.concatenate([sample.pred_instances.keypoints for sample in found]))


def events(model: nn.Module, images: Tensor) -> list:
    """What a prediction does on the host and on the device."""
    predict(model, images)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        predict(model, images)
        torch.cuda.synchronize()
    return list(profiled.events())


def kernels(model: nn.Module, images: Tensor) -> int:
    """The number of kernels that a prediction starts."""
    return sum(event.device_type == torch.autograd.DeviceType.CUDA and not event.name.startswith(('Mem', 'mem'))
               for event in events(model, images))


@pytest.mark.parametrize('dtype, gap', [(None, 1e-4), (torch.float16, .02), (torch.bfloat16, .15)])
def test_heatmaps_stay_close_with_one_wait(model, dtype, gap):
    """Bounds as shares of the heatmaps' standard deviation."""
    images = crops().cuda()
    expected, _ = predict(model, images)
    fast = accelerate(model, dtype)
    found, keypoints = predict(fast, images)
    assert (found - expected).abs().max() < gap * expected.std()
    assert np.isfinite(keypoints).all()
    batch = people('cuda')
    with torch.no_grad(), waits() as seen:
        fast.predict(images, batch)
    assert len(seen) == 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_weights_are_converted_once(model, dtype):
    images = crops().cuda()
    fast, exact = accelerate(model, dtype), accelerate(model)
    predict(fast, images)
    counted, batch = OperatorCounts(), people('cuda')
    with counted:
        predict(fast, images, batch)
    assert counted.calls['aten::_to_copy'] < 15 < counted.calls['aten::convolution']
    started = kernels(fast, images), kernels(exact, images)
    assert 0 < started[0] < 1.2 * started[1] + 10, started
