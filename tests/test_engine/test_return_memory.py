"""Memory that is freed, in a process of its own: the option is the whole process's."""
import subprocess
import sys

import pytest

from mmpose_mspn.engine import return_memory
from tests.launching import ROOT, environment

# Blocks of 8 MB with one that stays on top of each, as an optimiser's states do; then only the latter are left.
SCRIPT = '''
import sys
import torch
from mmpose_mspn.engine import ReturnMemoryHook

def resident():
    return int([line for line in open('/proc/self/status') if line.startswith('VmRSS')][0].split()[1]) / 1024

torch.ones(10)
if sys.argv[1] == 'hook':
    ReturnMemoryHook().before_run(None)
else:  # what glibc comes to by itself, once it has seen large blocks freed
    [torch.ones(2**22) for _ in range(4)]
start = resident()
blocks = [(torch.ones(2**21), torch.ones(2**10)) for _ in range(40)]
kept = [small for _, small in blocks]
full = resident()
del blocks
print(full - start, resident() - start)
'''


@pytest.mark.skipif(not sys.platform.startswith('linux') or not return_memory(), reason='the C library is not glibc')
@pytest.mark.parametrize('how, returned', [('hook', True), ('nothing', False)])
def test_freed_tensors_leave_the_process(how, returned):
    done = subprocess.run([sys.executable, '-c', SCRIPT, how], cwd=ROOT, env=environment(), capture_output=True,
                          text=True, check=True)
    full, left = map(float, done.stdout.split()[-2:])
    assert full > 300
    assert (left < 30) == returned, (full, left)
