"""The rows of the table: a fault each, injected several times."""
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, List, NamedTuple

import torch
from tqdm import tqdm

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint
from tests.faults.lab import ITERATIONS, Lab, content, kill, same
from tests.launching import environment
from tests.places import ROOT
from tests.planted import plant

LANES = 2
"""Number of runs at the same time."""


class Row(NamedTuple):
    """What was tried, how many times, what was seen, and what was lost."""
    tried: str
    times: int
    seen: str
    lost: str


def killed_runs(lab: Lab, kills: int, draw: random.Random) -> Row:
    """Kill runs at random moments, from the start of the process to its end, and resume them until they finish."""
    start = time.perf_counter()
    assert lab.train(lab.folder / 'whole') == 0
    seconds = (time.perf_counter() - start) * 1.5  # the lanes share the machine
    expected, measured = content(lab.folder / 'whole'), lab.metrics(lab.folder / 'whole')
    bar = tqdm(total=kills, desc='kills')

    def lane(number: int) -> List[int]:
        own = random.Random(draw_seeds[number])
        killed = in_writing = early = ended = differ = 0
        while killed < kills // LANES:
            work_dir = lab.folder / f'killed-{number}-{ended}'
            while True:
                process = lab.launch(work_dir, resume=True)
                try:
                    assert process.wait(timeout=own.uniform(0, 1.2 * seconds)) == 0, work_dir / 'output.txt'
                    break
                except subprocess.TimeoutExpired:
                    kill(process)
                    killed += 1
                    bar.update()
                    in_writing += any(work_dir.glob('.*.part'))
                    early += not (work_dir / 'last_checkpoint').exists()
            ended += 1
            differ += not same(content(work_dir), expected) or lab.metrics(work_dir) != measured
        return [killed, in_writing, early, ended, differ]

    draw_seeds = [draw.random() for _ in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        killed, in_writing, early, ended, differ = map(sum, zip(*pool.map(lane, range(LANES))))
    bar.close()
    return Row('SIGKILL of a training at a random moment, then `--resume`', killed,
               f'{early} before the first checkpoint, {in_writing} while a checkpoint was written; {ended} runs '
               'finished: weights, optimizer state and metrics compared bit by bit with a run that was not killed',
               f'{differ} runs differ')


def planted_in_training(lab: Lab, what: str, times: int, processes: int, tried: str, draw: random.Random) -> Row:
    """Inject a fault into a random iteration of a random process. The run must end and resume to the same weights."""
    whole = lab.folder / f'whole-{processes}'
    if not whole.exists():
        assert lab.train(whole, processes=processes) == 0
    expected = content(whole)
    differ = hung = silent = 0
    for number in tqdm(range(times), what):
        work_dir = lab.folder / f'{what}-{processes}-{number}'
        iteration, rank = draw.randint(2, ITERATIONS), draw.randrange(processes)
        hook = f"dict(type='Fault', what={what!r}, iteration={iteration}, rank={rank})"
        try:
            silent += lab.train(work_dir, config=lab.write_config(f'{what}-{number}', hook), processes=processes) == 0
        except subprocess.TimeoutExpired:
            hung += 1
            continue
        assert lab.train(work_dir, processes=processes, resume=True) == 0
        differ += not same(content(work_dir), expected)
    return Row(tried, times, 'the launch ended with an error; resumed: weights compared bit by bit',
               f'{hung} hung, {silent} continued, {differ} runs differ')


def full_disk(lab: Lab, times: int) -> Row:
    """Limit the size of files so that half of a checkpoint can be written."""
    differ = partial = 0
    expected = content(lab.folder / 'whole')
    for number in tqdm(range(times), 'full disk'):
        work_dir = lab.folder / f'full-{number}'
        process = lab.launch(work_dir)
        while process.poll() is None and not (work_dir / 'iter_2.pth').exists():
            time.sleep(0.01)
        kill(process)
        size = (work_dir / 'iter_2.pth').stat().st_size
        assert lab.train(work_dir, resume=True, file_limit=size // 2) != 0
        for path in work_dir.glob('*.pth'):
            try:
                read_checkpoint(path)
            except CheckpointError:
                partial += 1
        assert lab.train(work_dir, resume=True) == 0
        differ += not same(content(work_dir), expected)
    return Row('no space for a checkpoint (a limit on the size of files)', times,
               'the run ended with an error; resumed: weights compared bit by bit',
               f'{partial} partial checkpoints, {differ} runs differ')


def truncated_files(lab: Lab, times: int, draw: random.Random) -> Row:
    """Read checkpoints that were cut at random lengths."""
    whole = (lab.folder / 'whole' / f'iter_{ITERATIONS}.pth').read_bytes()
    path = lab.folder / 'truncated.pth'
    loaded = 0
    for _ in tqdm(range(times), 'truncated files'):
        path.write_bytes(whole[:draw.randrange(len(whole))])
        try:
            read_checkpoint(path)
            loaded += 1
        except CheckpointError as error:
            assert '\n' not in str(error)
    return Row('a checkpoint cut at a random length', times, 'refused with one line', f'{loaded} loaded')


def planted_code(lab: Lab) -> Row:
    """Load files that run code when they are unpickled, in both formats of torch, in every way."""
    ran = loaded = times = 0
    for zipped in (True, False):
        path = lab.folder / f'planted-{zipped}.pth'
        folder = plant(path, {'weight': torch.zeros(1)}, _use_new_zipfile_serialization=zipped)
        ways: List[Callable[[], int]] = [lambda path=path: _read(path)]
        for tool in (['convert_checkpoint.py', path, f'{path}.out'], ['publish_model.py', path, f'{path}.out'],
                     ['test.py', lab.config, path, '--data-root', lab.people, '--work-dir', lab.folder / 'planted']):
            ways.append(lambda tool=tool: subprocess.run(
                [sys.executable, f'tools/{tool[0]}', *map(str, tool[1:])], cwd=ROOT, capture_output=True,
                env=environment()).returncode)
        for way in ways:
            times += 1
            loaded += way() == 0
            ran += folder.exists()
    return Row('a checkpoint that holds code, given to `read_checkpoint`, `convert_checkpoint.py`, `publish_model.py`, '
               '`test.py`', times, 'refused', f'{ran} ran it, {loaded} loaded it')


def _read(path: Path) -> int:
    try:
        read_checkpoint(path)
    except CheckpointError:
        return 1
    return 0
