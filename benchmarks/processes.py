"""The rows of compare.py that need separate processes: whole test runs and the peak memory of a training step."""
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable, List, Optional

import torch
from common import CONFIGS, ROOT, measured
from mmengine.registry import init_default_scope
from mmengine.utils import get_installed_path
from peers import mmpose_model, our_labels, our_model, pair, their_labels
from rows import step

from mmpose_mspn.engine.hooks.speed_hooks import KEEP, RETURN, set_malloc
from mmpose_mspn.synthetic_people import generate

PEOPLE = 500
TESTED = 'td-hm_2xmspn50_8xb32-210e_coco-256x192.py'


@dataclass
class ProcessRow:
    """A row that is measured once, in separate processes.

    Args:
        name: What is measured.
        goal: Lowest ratio mmpose / ours if above 1, else highest ratio ours / mmpose.
        unit: Unit of the two values.
        run: Measures our value and mmpose's on a device.
        same: Note on how far the sides agree.
    """
    name: str
    goal: float
    unit: str
    run: Callable[[str], List[float]]
    same: str

    def measure(self, rounds: int, device: str, official: Optional[object]) -> dict:
        ours, theirs = self.run(device)
        ratio = theirs / ours if self.goal > 1 else ours / theirs
        return dict(row=self.name, unit=self.unit, goal=self.goal, ours=ours, mmpose=theirs, ratio=ratio,
                    same=self.same)


def whole_test(fast: str) -> Callable[[str], List[float]]:
    """Measure the seconds of tools/test.py with our config and with mmpose's, with the same weights."""
    def run(device: str) -> List[float]:
        return [_seconds_of_test('ours', fast), _seconds_of_test('mmpose')]
    return run


@lru_cache(None)  # two rows share mmpose's side
def _seconds_of_test(side: str, fast: Optional[str] = None) -> float:
    folder = _test_folder()
    home = ROOT if side == 'ours' else Path(get_installed_path('mmpose')) / '.mim'
    start = time.perf_counter()
    _run('tools/test.py', home / CONFIGS / TESTED, folder / f'{side}.pth', '--data-root', folder, '--work-dir', folder,
         *(['--fast', fast] if fast else []), '--cfg-options', 'test_dataloader.dataset.bbox_file=None')
    return time.perf_counter() - start


@lru_cache(None)
def _test_folder() -> Path:
    """Return a folder with people and checkpoints of both sides, which is deleted when this process exits."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    _people(folder)
    for side, model in zip(('ours', 'mmpose'), pair(2, 'cpu')):
        torch.save(dict(state_dict=model.state_dict()), folder / f'{side}.pth')
    return folder


def _people(folder: Path) -> None:
    """Generate people and keep :data:`PEOPLE` of them."""
    generate(folder, train=40, val=PEOPLE, workers=2, progress=False)
    path = folder / 'annotations/person_keypoints_val2017.json'
    content = json.loads(path.read_text())
    kept = [person for person in content['annotations'] if person['num_keypoints'] and not person['iscrowd']][:PEOPLE]
    assert len(kept) == PEOPLE
    path.write_text(json.dumps(dict(content, annotations=kept)))


def step_memory(dtype: Optional[str], with_cp: bool) -> Callable[[str], List[float]]:
    """Measure the peak memory in GB of processes that take three 4-stage training steps, batch 8: ours, and mmpose's in
    float32."""
    def run(device: str) -> List[float]:
        sides = [['ours', dtype or 'float32', str(int(with_cp))], ['mmpose', 'float32', '0']]
        return [measured(__file__, device, *side) for side in sides]
    return run


def _run(script: str, *arguments: object) -> str:
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env=dict(os.environ, PYTHONWARNINGS='ignore')).stdout


def take_steps(device: str, side: str, dtype: str, with_cp: str) -> float:
    """Return the peak memory in GB of this process after three steps."""
    init_default_scope('mmpose')
    ours = side == 'ours'
    model = (our_model(4, with_cp=with_cp == '1') if ours else mmpose_model(4)).to(device)
    if ours:
        model.to(memory_format=torch.channels_last)
        if device == 'cpu':  # as --low-memory and --fast do
            set_malloc(RETURN if with_cp == '1' else KEEP)
    labels = (our_labels if ours else their_labels)(8, device)
    work = step(model, torch.randn(8, 3, 256, 192, device=device), labels, dtype == 'bfloat16', fused=ours)
    for _ in range(3):
        work()
    if device != 'cpu':
        return torch.cuda.max_memory_allocated() / 2**30
    return peak_gb()


def peak_gb() -> float:
    """Return the peak memory of this process. ``getrusage`` would include that of the process that started it."""
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return int(status['VmHWM'].split()[0]) / 2**20


TEST_NOTE = 'one run each; the same weights and crops; includes the start of the process; decodes differ by design'
MEMORY_NOTE = "one run each; mmpose's side in float32; on a CPU the memory of the whole process"
PROCESS_ROWS = [
    ProcessRow('4-stage training step, batch 8, peak memory, bf16 autocast', 0.7, 'GB', step_memory('bfloat16', False),
               MEMORY_NOTE),
    ProcessRow('4-stage training step, batch 8, peak memory, --low-memory (with_cp)', 0.45, 'GB',
               step_memory(None, True), MEMORY_NOTE),
    ProcessRow(f'whole test of {PEOPLE} people, 2 stages, --fast', 1.5, 's', whole_test('float32'), TEST_NOTE),
    ProcessRow(f'whole test of {PEOPLE} people, 2 stages, --fast bfloat16', 2.5, 's', whole_test('bfloat16'),
               TEST_NOTE),
    ProcessRow(f'whole test of {PEOPLE} people, 2 stages, --fast int8', 6, 's', whole_test('int8'),
               TEST_NOTE + '; includes the export and the calibration'),
]
GPU_PROCESS_ROWS = [row for row in PROCESS_ROWS if 'int8' not in row.name]
"""int8 runs on CPUs."""

if __name__ == '__main__':
    print(take_steps(*sys.argv[1:]))
