"""What the runs that tests launch as processes of their own are given."""
import os
import socket
import sys
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).parents[1]


def environment() -> Dict[str, str]:
    """This interpreter, one thread, a port that is free, and the tests' modules for configs to import."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return dict(os.environ, PYTHON=sys.executable, PYTHONWARNINGS='ignore', PORT=str(port), OMP_NUM_THREADS='1',
                PYTHONPATH=str(ROOT))
