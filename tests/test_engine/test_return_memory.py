"""Memory that is freed, in a process of its own: the option is the whole process's."""
import ctypes
import subprocess
import sys

import pytest

from tests.launching import ROOT, environment

# Blocks of 8 MB with one of half a MB that stays on top of each, as an optimiser's states do; then only the latter are
# left: 20 MB, too large for the holes that imports leave.
SCRIPT = '''
import torch
from mmpose_mspn.engine import ReturnMemoryHook

def resident():
    return int([line for line in open('/proc/self/status') if line.startswith('VmRSS')][0].split()[1]) / 1024

torch.ones(10)
[torch.ones(2**22) for _ in range(4)]  # after blocks so large were freed, glibc would take the next from its heap
ReturnMemoryHook().before_run(None)
start = resident()
blocks = [(torch.ones(2**21), torch.ones(2**17)) for _ in range(40)]
kept = [small for _, small in blocks]
full = resident()
del blocks
print(full - start, resident() - start)
'''


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='the C library is not glibc')
def test_freed_tensors_leave_the_process():
    done = subprocess.run([sys.executable, '-c', SCRIPT], cwd=ROOT, env=environment(), capture_output=True,
                          text=True, check=True)
    full, left = map(float, done.stdout.split()[-2:])
    assert full > 300
    assert left < 40  # without the hook about 340 stay
