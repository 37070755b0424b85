"""The training step that the benchmarks time."""
import pytest
import rows
import torch
from mmengine.registry import OPTIMIZERS

from mmpose_mspn.fused_optimizers import fused_where_possible
from tests.test_engine.toy import Toy


class Model(Toy):
    """A model with the methods of an estimator that a step calls."""

    def loss(self, inputs, data_samples):
        return self(inputs, data_samples, mode='loss')


class AdamOfTorch21(torch.optim.Adam):

    def __init__(self, params, lr, fused=None):
        if fused:
            raise RuntimeError('`fused=True` requires all the params to be CUDA, floating point Tensor')
        super().__init__(params, lr)


@pytest.mark.parametrize('fuses', ['as installed', 'as torch 2.1'])
def test_a_step_moves_the_weights_also_where_torch_cannot_fuse_it(fuses, monkeypatch):
    if fuses == 'as torch 2.1':
        monkeypatch.setattr(torch.optim, 'Adam', AdamOfTorch21)
        monkeypatch.setitem(OPTIMIZERS.module_dict, 'Adam', fused_where_possible(AdamOfTorch21, ['cuda']))
    model = Model()
    before = [weight.detach().clone() for weight in model.parameters()]
    assert rows.step(model, torch.randn(4, 2), [], amp=False, fused=True)() > 0
    assert all((a != b).any() for a, b in zip(before, model.parameters()))
