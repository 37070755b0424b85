"""Training runs of a few seconds in processes of their own, and what they leave."""
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Dict, Optional

import torch

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.synthetic_people import generate
from tests.launching import environment
from tests.places import DEMO, ROOT

ITERATIONS = 16
"""Of a training; there is a checkpoint after each."""


class Lab:
    """Starts training runs of a few seconds as separate processes.

    Args:
        folder: Folder for the data, the configs and the work directories.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.people = folder, folder / 'people'
        generate(self.people, train=8, val=2, workers=1, progress=False)
        self.config = self.write_config('sound')

    def write_config(self, name: str, hook: str = '') -> Path:
        path = self.folder / f'{name}.py'
        path.write_text(
            f"_base_ = {str(DEMO)!r}\n"
            "custom_imports = dict(imports=['tests.launched_hooks'])\n"
            f"custom_hooks = [*_base_.custom_hooks, {hook}]\n"
            "train_dataloader = dict(batch_size=4, num_workers=1)\n"
            "val_dataloader = dict(num_workers=0, persistent_workers=False)\n"
            "test_dataloader = val_dataloader\n"
            f"train_cfg = dict(max_iters={ITERATIONS}, val_interval={ITERATIONS})\n"
            "default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2))\n")
        return path

    def launch(self, work_dir: Path, config: Optional[Path] = None, processes: int = 1, resume: bool = False,
               file_limit: Optional[int] = None) -> subprocess.Popen:
        """Start a training. ``file_limit`` is the largest size of a file in bytes."""
        start = [sys.executable, 'tools/train.py', str(config or self.config)]
        if processes > 1:
            start = ['tools/dist_train.sh', str(config or self.config), str(processes)]

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        work_dir.mkdir(parents=True, exist_ok=True)
        with open(work_dir / 'output.txt', 'ab') as output:
            return subprocess.Popen(
                [*start, '--no-validate', '--data-root', str(self.people), '--work-dir', str(work_dir),
                 *(['--resume'] if resume else [])],
                cwd=ROOT, env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=limit if file_limit else None)

    def train(self, work_dir: Path, **options) -> int:
        """Return the exit status of a training that runs to its end.

        Raises:
            TimeoutExpired: It hung and was killed.
        """
        process = self.launch(work_dir, **options)
        try:
            return process.wait(timeout=300)
        finally:
            kill(process)

    def metrics(self, work_dir: Path) -> dict:
        """Return the metrics of tools/test.py with the last checkpoint."""
        subprocess.run(
            [sys.executable, 'tools/test.py', str(self.config), str(work_dir / f'iter_{ITERATIONS}.pth'), '--data-root',
             str(self.people), '--work-dir', str(work_dir), '--out', str(work_dir / 'metrics.json')], check=True,
            cwd=ROOT, capture_output=True, env=environment())
        return json.loads((work_dir / 'metrics.json').read_text())


def kill(process: subprocess.Popen) -> None:
    """Send SIGKILL to a run and its workers, if they still exist."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def content(work_dir: Path) -> Dict[str, torch.Tensor]:
    """Return the weights and the moments of the optimizer after the last iteration."""
    read = read_checkpoint(work_dir / f'iter_{ITERATIONS}.pth')
    moments = {f'{index}.{name}': value for index, state in read['optimizer']['state'].items()
               for name, value in state.items()}
    return {**read['state_dict'], **moments}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
