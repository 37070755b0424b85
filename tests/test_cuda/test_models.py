"""Models on a GPU: they compute what they compute on the CPU, and the host waits only where it must."""
import copy

import numpy as np
import pytest
import torch
from mmengine.optim import AmpOptimWrapper
from torch import Tensor, nn

from tests.building import ensemble, second_call
from tests.families import FAMILIES, OPTIONS, PRECISIONS, autocast, build
from tests.test_cuda.on_device import crops, people, waits


def gradients(model: nn.Module, images: Tensor, device: str) -> Tensor:
    """Trains ``model`` one step, and returns the loss and all gradients in one vector, in float64 on the CPU."""
    model.to(device).train()
    total, _ = model.parse_losses(model.loss(images.to(device), people(device)))
    total.backward()
    values = [total.detach(), *(parameter.grad for parameter in model.parameters())]
    return torch.cat([value.double().cpu().flatten() for value in values])


def test_waits_are_seen():
    number = torch.ones(1, device='cuda')
    with waits() as found:
        number.item()
        number.cpu()
    assert len(found) == 2


@pytest.mark.parametrize('family', FAMILIES)
def test_loss_and_gradients_are_those_of_the_cpu(family):
    """In float64; in float32, whose rounding grows in batches this small, both devices are about as far from it."""
    model, images = build(family), crops()
    reference = gradients(copy.deepcopy(model).double(), images.double(), 'cpu')

    def error(device: str, dtype: torch.dtype) -> float:
        found = gradients(copy.deepcopy(model).to(dtype), images.to(dtype), device)
        return ((found - reference).norm() / reference.norm()).item()

    assert error('cuda', torch.float64) < 1e-5
    assert error('cuda', torch.float32) < 5 * error('cpu', torch.float32)


@pytest.mark.parametrize('family, dtype', [
    (family, dtype) for family in FAMILIES for dtype in PRECISIONS if dtype is not None])
def test_mixed_precision_trains(family, dtype):
    """fp16 with loss scaling, as ``--amp`` does on older GPUs, and bf16 without: the loss falls."""
    model, images = build(family).cuda().train(), crops().cuda()
    batch = people('cuda')
    wrapper = AmpOptimWrapper(
        loss_scale='dynamic' if dtype == torch.float16 else 1., dtype=str(dtype).split('.')[1],
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3))
    losses = []
    for _ in range(60):  # loss scaling skips the first steps
        with wrapper.optim_context(model):
            total, _ = model.parse_losses(model.loss(images, batch))
        wrapper.update_params(total)
        losses.append(total.item())
    assert np.isfinite(losses).all() and losses[-1] < 0.995 * losses[0], losses
    assert all(parameter.isfinite().all() and parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize('family, dtype', [(family, dtype) for family in FAMILIES for dtype in PRECISIONS])
def test_a_step_waits_nowhere_from_the_second_on(family, dtype):
    model = build(family).cuda().train()
    images, batch = crops().cuda(), people('cuda')

    def step() -> None:
        with autocast(dtype):
            losses = model.loss(images, batch)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    _, found = second_call(step, waits)
    assert found == []


def check_predictions(model: nn.Module) -> None:
    """A model in eval mode predicts on the GPU what it predicts on the CPU, with one wait."""
    images = crops()
    with torch.no_grad():
        expected = model.predict(images, people('cpu'))
        model.cuda()
        images, batch = images.cuda(), people('cuda')
        predicted, found = second_call(lambda: model.predict(images, batch), waits)
    assert len(found) == 1
    for one, other in zip(predicted, expected):
        assert abs(one.pred_instances.keypoints - other.pred_instances.keypoints).max() < 1e-3
        np.testing.assert_allclose(one.pred_instances.keypoint_scores, other.pred_instances.keypoint_scores, 1e-4, 1e-5)


@pytest.mark.parametrize('family, options', [(family, options) for family in FAMILIES for options in OPTIONS])
def test_predictions_are_those_of_the_cpu_with_one_wait(family, options):
    check_predictions(build(family, OPTIONS[options]).eval())


@pytest.mark.parametrize('test_cfg', [dict(flip_test=True), dict(flip_test=True, shift_test=[(0, 0), (4, 0)])])
def test_an_ensemble_predicts_what_it_predicts_on_the_cpu_with_one_wait(test_cfg, tmp_path):
    check_predictions(ensemble(tmp_path, [build('mspn'), build('lightpose')], test_cfg=test_cfg))


def test_deterministic_steps_repeat_bit_for_bit(monkeypatch):
    """torch refuses every operator that it knows to have no deterministic form on a GPU."""
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    monkeypatch.setattr(torch.backends.cudnn, 'deterministic', True)
    images, found = crops().cuda(), []
    torch.use_deterministic_algorithms(True)
    try:
        for family in [*FAMILIES, *FAMILIES]:
            torch.manual_seed(0)
            model = build(family).cuda().train()
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            for _ in range(3):
                optimizer.zero_grad()
                total, _ = model.parse_losses(model.loss(images, people('cuda')))
                total.backward()
                optimizer.step()
            found.append(torch.cat([value.flatten().double() for value in model.state_dict().values()]))
    finally:
        torch.use_deterministic_algorithms(False)
    half = len(FAMILIES)
    for family, first, second in zip(FAMILIES, found[:half], found[half:]):
        assert torch.equal(first, second), family
