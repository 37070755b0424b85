"""Recomputation keeps the state of random generators where, and only where, random numbers may be drawn."""
import pytest
import torch
from mmcv.cnn.bricks import DropPath
from torch import nn

from mmpose_mspn.models.utils import may_draw, recompute
from tests.building import backbone


class Noisy(nn.Module):
    """A user's module, which draws in its ``forward``."""

    def forward(self, x):
        return x * torch.rand_like(x)


@pytest.mark.parametrize('drawing', [nn.Dropout(.5), nn.Sequential(nn.Linear(64, 64), nn.Dropout(.5)), Noisy(),
                                     DropPath(.5)])
def test_the_second_run_draws_the_same_numbers(drawing):
    assert may_draw(drawing)
    x = torch.randn(8, 64, requires_grad=True)
    torch.manual_seed(1)
    expected, = torch.autograd.grad(drawing(x).square().sum(), x)
    torch.manual_seed(1)
    out = recompute(drawing, x)
    torch.rand(3)  # what other modules draw before the backward pass
    torch.testing.assert_close(torch.autograd.grad(out.square().sum(), x)[0], expected)


def test_our_networks_draw_nothing():
    for encoder in (dict(type='ResNet', depth=18), dict(type='mmpose_mspn.AttentionResNet', depth=50)):
        for module in backbone(encoder=encoder, conv_cfg=dict(type='mmpose_mspn.GhostConv')).stages.modules():
            assert not may_draw(module)


def test_no_state_is_copied_where_nothing_is_drawn(monkeypatch):
    copies, read = [], torch.get_rng_state
    monkeypatch.setattr(torch, 'get_rng_state', lambda: copies.append(1) or read())
    x = torch.randn(2, 4, requires_grad=True)
    recompute(nn.Linear(4, 4), x).sum().backward()
    assert copies == []
    recompute(nn.Dropout(.5), x).sum().backward()
    assert copies
