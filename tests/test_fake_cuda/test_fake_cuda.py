"""The emulated GPU refuses and counts what a GPU refuses and waits for."""
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.test_fake_cuda.fake_cuda import CUDA, FakeCuda, needs_marks

pytestmark = needs_marks


def test_tensors_report_the_device_and_results_stay_there():
    x = torch.ones(2, 3)
    with FakeCuda() as gpu:
        assert x.device.type == 'cpu' and not x.is_cuda
        moved = x.to('cuda')
        assert moved.device == CUDA and moved.is_cuda and x.device.type == 'cpu'
        for made in (moved + 1, moved[0], moved.view(6), torch.zeros_like(moved), torch.arange(3, device=moved.device),
                     moved.new_zeros(2), moved.double(), F.pad(moved, (1, 1))):
            assert made.device == CUDA
        back = moved.cpu()
        assert back.device.type == 'cpu' and back.numpy().sum() == 6
        assert gpu.waits == {'a blocking copy to cuda:0': 1, 'a blocking copy to cpu': 1}


@pytest.mark.parametrize('mix', [
    lambda x, y: x + y, lambda x, y: torch.cat([x, y]), lambda x, y: F.conv2d(x, y),
    lambda x, y: torch.where(x > 0, x, y)])
def test_mixed_devices_are_refused(mix):
    x, y = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    with FakeCuda(), pytest.raises(RuntimeError, match='same device'):
        mix(x.to('cuda'), y)


def test_a_scalar_tensor_of_the_cpu_is_accepted():
    with FakeCuda():
        assert (torch.ones(2).cuda() * torch.tensor(2.)).device == CUDA


def test_a_tensor_of_the_device_is_not_an_array():
    with FakeCuda(), pytest.raises(TypeError, match='numpy'):
        torch.ones(2).cuda().numpy()


@pytest.mark.parametrize('wait', [
    lambda x: x.sum().item(), lambda x: bool(x.sum() > 0), lambda x: int(x[0, 0]), lambda x: x.tolist(),
    lambda x: x.nonzero(), lambda x: x[x > 0], lambda x: x[[1, 0]], lambda x: x[:, [1, 0]],
    lambda x: x[np.array([1, 0])], lambda x: x[torch.tensor([1, 0])], lambda x: x.new_tensor([1, 2]),
    lambda x: torch.tensor([1, 2], device=x.device), lambda x: x.cpu(), lambda x: x.to('cpu'),
    lambda x: x.copy_(torch.ones(2, 2)), lambda x: torch.ones(2).to(x),
    lambda x: torch.ones(2).to('cuda', non_blocking=True),
])
def test_waiting_calls_are_counted(wait):
    x = torch.ones(2, 2)
    with FakeCuda() as gpu:
        x = x.cuda()
        gpu.waits.clear()
        wait(x)
        assert sum(gpu.waits.values()) == 1, gpu.waits


@pytest.mark.parametrize('call', [
    lambda x: x.sum() * 2, lambda x: x[0], lambda x: x[:, None, ::2], lambda x: x.flip(-1),
    lambda x: x.to(torch.float64),
    lambda x: torch.full((2, ), 3., device=x.device), lambda x: x.index_select(0, torch.arange(2, device=x.device)),
    lambda x: torch.ones(2).pin_memory().to(x.device, non_blocking=True), lambda x: x.to('cpu', non_blocking=True),
    lambda x: x.fill_(3), lambda x: torch.where(x > 0, x, 0), lambda x: x.clamp(min=1),
])
def test_other_calls_are_not_counted(call):
    x = torch.ones(2, 2)
    with FakeCuda() as gpu:
        x = x.cuda()
        gpu.waits.clear()
        call(x)
        assert not gpu.waits


def test_gradients_are_those_of_the_cpu():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 3, 8, 8)
    net(x).square().mean().backward()
    expected = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    with FakeCuda() as gpu:
        net.to('cuda')
        x = x.to('cuda')
        gpu.waits.clear()
        loss = net(x).square().mean()
        loss.backward()
        assert loss.device == CUDA and not gpu.waits
        assert all(parameter.grad.device == CUDA for parameter in net.parameters())
    for one, other in zip(net.parameters(), expected):
        torch.testing.assert_close(one.grad, other)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    conv, x = nn.Conv2d(3, 4, 1), torch.randn(2, 3, 8, 8)
    with FakeCuda():
        conv, x = conv.to('cuda'), x.to('cuda')
        assert conv(x).dtype == torch.float32
        with torch.autocast('cuda', dtype):
            out = conv(x)
            assert out.dtype == dtype and F.mse_loss(out, out).dtype == torch.float32
            assert torch.cat([out, x[:, :, :, :]], 1).dtype == torch.float32
            with torch.autocast('cuda', enabled=False):
                assert conv(x).dtype == torch.float32
        out.float().sum().backward()
        assert conv.weight.grad.dtype == torch.float32
