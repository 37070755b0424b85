"""The layout of weights, freed memory and gradients in 16 bits change time and memory, and not the training."""
import ctypes
import subprocess
import sys

import pytest
import torch
from mmengine.model import BaseModel
from torch import nn

from mmpose_mspn.engine import GradientCompressionHook
from mmpose_mspn.utils.errors import ConfigError
from tests.launching import environment, two_processes
from tests.places import ROOT
from tests.test_engine.toy import runner

# ---------------------------------------------------------------- channels last


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__(init_cfg=dict(type='Kaiming', layer='Conv2d'))
        self.conv = nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.conv(torch.stack(list(inputs))[:, :, None, None].expand(-1, -1, 4, 4))
        return dict(loss=out.square().mean()) if mode == 'loss' else out


def test_the_same_seed_draws_the_same_initial_weights(tmp_path):
    weights = []
    for name, hooks in (('plain', []), ('last', [dict(type='mmpose_mspn.ChannelsLastHook')])):
        run = runner(tmp_path / name, 1, model=Net(), hooks=hooks,
                     optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)))
        run.train()
        weights.append(run.model.conv.weight)
    assert torch.equal(*weights)
    assert [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights] == [False, True]


# ---------------------------------------------------------------- freed memory, in processes of their own

# 40 blocks of 8 MB, each followed by a small block (in MB) that may stay, as the states of an optimizer do.
MEMORY = '''
import sys
import torch
from mmpose_mspn.engine import FreedMemoryHook

def resident():
    return int([line for line in open('/proc/self/status') if line.startswith('VmRSS')][0].split()[1]) / 1024

def blocks(small):
    return [(torch.ones(2**21), torch.ones(int(small * 2**18))) for _ in range(40)]

settings, small, stays = eval(sys.argv[1]), float(sys.argv[2]), eval(sys.argv[3])
torch.ones(10)
[torch.ones(2**22) for _ in range(4)]  # after blocks this large were freed, glibc would take the next from its heap
for keep in settings:
    FreedMemoryHook(keep).before_run(None)
start = resident()
made = blocks(small)
full = resident()
kept = [small for _, small in made] if stays else None
del made
print(full - start, resident() - start)
'''


def megabytes(settings: list, small: float, stays: bool) -> float:
    """How much of 320 freed MB stays in the process, plus the small blocks if they stay."""
    done = subprocess.run([sys.executable, '-c', MEMORY, str(settings), str(small), str(stays)], cwd=ROOT,
                          env=environment(), capture_output=True, text=True, check=True)
    full, left = map(float, done.stdout.split()[-2:])
    assert full > 300
    return left


needs_glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), 'mallopt'), reason='the C library is not glibc')


@needs_glibc
@pytest.mark.parametrize('settings', [[False], [True, False]])
def test_returned_tensors_leave_the_process(settings):
    # The small blocks, 20 MB, stay; they are too large for the holes that imports leave. Without the hook, 340 MB stay.
    assert megabytes(settings, small=0.5, stays=True) < 40


@needs_glibc
@pytest.mark.parametrize('settings', [[True], [False, True]])
def test_kept_tensors_stay(settings):
    assert megabytes(settings, small=0.001, stays=False) > 300  # without the hook, nothing stays


# ---------------------------------------------------------------- gradients between two gloo processes

COMPRESSED = '''
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
    for done in two_processes('-c', COMPRESSED, dtype):
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == mean


def test_bfloat16_is_refused_without_nccl():
    for done in two_processes('-c', COMPRESSED, 'bfloat16'):
        assert done.returncode == 1 and "use dtype='float16'" in done.stderr


def test_one_process_trains_to_the_weights_that_it_has_without_the_hook(tmp_path):
    runs = [runner(tmp_path / name, 2, hooks=hooks) for name, hooks in (
        ('plain', []), ('hook', [dict(type='mmpose_mspn.GradientCompressionHook')]))]
    for run in runs:
        run.train()
    plain, compressed = (run.model.state_dict() for run in runs)
    assert all(torch.equal(compressed[key], value) for key, value in plain.items())


def test_another_type_is_refused():
    with pytest.raises(ConfigError, match="dtype .* 'int8'"):
        GradientCompressionHook('int8')
