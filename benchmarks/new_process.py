"""Measurements that need a process of their own."""
import json
import os
import subprocess
import sys
from typing import Dict, Optional

from places import ROOT


def measured(script: str, *arguments: object, environment: Optional[Dict[str, str]] = None) -> object:
    """Run a script in a new interpreter, and return what it measures: the last line that it prints, as JSON.

    Args:
        script: Its path.
        arguments: Its command line.
        environment: All environment variables; ``None``: those of this process.

    Raises:
        RuntimeError: It failed; the message ends with what it wrote to stderr.
    """
    done = subprocess.run([sys.executable, script, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          env=dict(os.environ if environment is None else environment, PYTHONWARNINGS='ignore'))
    if done.returncode:
        raise RuntimeError(f'{script} {" ".join(map(str, arguments))} failed:\n{done.stderr[-3000:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])
