"""Environment of the runs that tests start as separate processes."""
import os
import socket
import sys
from pathlib import Path
from typing import Dict

import torch

ROOT = Path(__file__).parents[1]


def environment() -> Dict[str, str]:
    """Environment variables: this interpreter, one thread, a free port, a path on which configs find ``tests``,
    and no GPU where there is only one."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    hidden = {}
    if torch.cuda.device_count() == 1:
        hidden['CUDA_VISIBLE_DEVICES'] = ''  # two processes cannot share one GPU, so they run on the CPU
    return dict(os.environ, **hidden, PYTHON=sys.executable, PYTHONWARNINGS='ignore', PORT=str(port),
                OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
