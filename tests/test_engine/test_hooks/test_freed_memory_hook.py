"""Freed memory, in processes of their own, because the options apply to a whole process."""
import ctypes
import subprocess
import sys

import pytest

from tests.launching import environment
from tests.places import ROOT

# 40 blocks of 8 MB, each followed by a small block (in MB) that may stay, as the states of an optimizer do.
SCRIPT = '''
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
    done = subprocess.run([sys.executable, '-c', SCRIPT, str(settings), str(small), str(stays)], cwd=ROOT,
                          env=environment(), capture_output=True, text=True, check=True)
    full, left = map(float, done.stdout.split()[-2:])
    assert full > 300
    return left


pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='the C library is not glibc')


@pytest.mark.parametrize('settings', [[False], [True, False]])
def test_returned_tensors_leave_the_process(settings):
    # The small blocks, 20 MB, stay; they are too large for the holes that imports leave. Without the hook, 340 MB stay.
    assert megabytes(settings, small=0.5, stays=True) < 40


@pytest.mark.parametrize('settings', [[True], [False, True]])
def test_kept_tensors_stay(settings):
    assert megabytes(settings, small=0.001, stays=False) > 300  # without the hook, nothing stays
