"""Gradients in 16 bits between two gloo processes."""
import pytest
import torch

from mmpose_mspn.engine import GradientCompressionHook
from tests.launching import two_processes
from tests.test_engine.toy import runner

SCRIPT = '''
import sys
from types import SimpleNamespace
import torch
from torch import distributed, nn
from mmpose_mspn.engine import CPUDistributedDataParallel, GradientCompressionHook, end_launch

distributed.init_process_group('gloo')
layer = nn.Linear(1, 1, bias=False)
model = CPUDistributedDataParallel(layer)
if sys.argv[1] != 'none':
    GradientCompressionHook(sys.argv[1]).before_train(SimpleNamespace(model=model))
# The gradients of the processes are 2 and 2 + 2**-11; their mean is 2 + 2**-12.
model(torch.tensor([[2 + distributed.get_rank() * 2**-11]])).sum().backward()
print(repr(layer.weight.grad.item()))
del model
end_launch()
'''


@pytest.mark.parametrize('dtype, mean', [('none', 2 + 2**-12), ('float16', 2)])  # steps of 2**-9 with 11 bits
def test_the_mean_has_the_precision_of_the_type(dtype, mean):
    for done in two_processes('-c', SCRIPT, dtype):
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == mean


def test_bfloat16_is_refused_without_nccl():
    for done in two_processes('-c', SCRIPT, 'bfloat16'):
        assert done.returncode == 1 and "use dtype='float16'" in done.stderr


def test_one_process_trains_to_the_weights_that_it_has_without_the_hook(tmp_path):
    runs = [runner(tmp_path / name, 2, hooks=hooks) for name, hooks in (
        ('plain', []), ('hook', [dict(type='mmpose_mspn.GradientCompressionHook')]))]
    for run in runs:
        run.train()
    plain, compressed = (run.model.state_dict() for run in runs)
    assert all(torch.equal(compressed[key], value) for key, value in plain.items())


def test_another_type_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of bfloat16, float16, got 'int8'"):
        GradientCompressionHook('int8')
