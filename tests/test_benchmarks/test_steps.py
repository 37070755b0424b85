"""The training step that the benchmarks time."""
import pytest
import rows
import torch

from tests.test_engine.toy import Toy


class Model(Toy):
    """A model with the methods of an estimator that a step calls."""

    def loss(self, inputs, data_samples):
        return self(inputs, data_samples, mode='loss')


@pytest.mark.parametrize('fuses', ['as installed', 'as torch 2.1'])
def test_a_step_moves_the_weights_also_where_torch_cannot_fuse_it(fuses, monkeypatch):
    if fuses == 'as torch 2.1':
        monkeypatch.setattr(rows, 'can_fuse', lambda optimizer: False)
    model = Model()
    before = [weight.detach().clone() for weight in model.parameters()]
    assert rows.step(model, torch.randn(4, 2), [], amp=False, fused=True)() > 0
    assert all((a != b).any() for a, b in zip(before, model.parameters()))
