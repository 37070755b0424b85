"""Heatmaps are resized as the official network resizes them, forward and backward."""
import pytest
import torch
from torch.nn import functional as F

from mmpose_mspn.models.utils import resize_heatmaps, resize_to


def test_corners_stay_and_cells_between_are_interpolated():
    maps = torch.tensor([[[[0., 2.], [4., 6.]]]])
    torch.testing.assert_close(
        resize_to(maps, (3, 3)), torch.tensor([[[[0., 1., 2.], [2., 3., 4.], [4., 5., 6.]]]]), rtol=0, atol=0)
    assert resize_to(maps, (2, 2)) is maps and resize_heatmaps(maps, (2, 2)) is maps


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_heatmaps_is_that_of_a_plain_resize(layout):
    torch.manual_seed(0)
    maps, weights = torch.randn(2, 5, 4, 3).contiguous(memory_format=layout), torch.randn(2, 5, 16, 12)

    def gradient(resized, leaf):
        return torch.autograd.grad((resized * weights).sum(), leaf)[0]

    leaf = maps.clone().requires_grad_()
    expected = gradient(F.interpolate(leaf, size=(16, 12), mode='bilinear', align_corners=True), leaf)
    found = gradient(resize_heatmaps(leaf, (16, 12)), leaf)
    assert torch.equal(found, expected)
