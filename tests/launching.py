"""Environment of the runs that tests start as separate processes."""
import os
import socket
import sys
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).parents[1]


def environment() -> Dict[str, str]:
    """Environment variables: this interpreter, one thread, a free port, and a path on which configs find ``tests``."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return dict(os.environ, PYTHON=sys.executable, PYTHONWARNINGS='ignore', PORT=str(port), OMP_NUM_THREADS='1',
                PYTHONPATH=str(ROOT))
