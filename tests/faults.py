"""Inject faults into real training runs and checkpoint files, and write a table of what was lost.

    python -m tests.faults [--kills 100] [--seed 0] [--out docs/faults.md]

Without a GPU, about 40 minutes on two cores.
"""
import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

import torch
from tqdm import tqdm

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint
from mmpose_mspn.synthetic_people import generate
from tests.launching import environment
from tests.places import DEMO, ROOT
from tests.planted import plant

ITERATIONS = 16
LANES = 2
"""Number of runs at the same time."""


class Row(NamedTuple):
    tried: str
    times: int
    seen: str
    lost: str


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


def table(rows: List[Row]) -> str:
    lines = ['| tried | times | what happened | lost |', '| --- | --- | --- | --- |']
    return '\n'.join(lines + [f'| {row.tried} | {row.times} | {row.seen} | {row.lost} |' for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='number of kills in the first row')
    parser.add_argument('--times', type=int, default=5, help='number of trainings for each other fault')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', default='docs/faults.md', help='file to write')
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        rows = [
            killed_runs(lab, args.kills, draw),
            planted_in_training(lab, 'kill', args.times, 2, 'SIGKILL of one process of two in a random iteration',
                                draw),
            planted_in_training(lab, 'raise', args.times, 2, 'an error in one process of two', draw),
            planted_in_training(lab, 'nan', args.times, 1, 'a loss that turns NaN in a random iteration', draw),
            full_disk(lab, args.times),
            truncated_files(lab, 200, draw),
            planted_code(lab),
        ]
    page = ('# Faults\n\nFaults in real runs and files, and what was lost. '
            f'A run is {ITERATIONS} iterations of the demo\'s model with a checkpoint after each.\n\n'
            f'`python -m tests.faults --kills {args.kills} --times {args.times} --seed {args.seed}` '
            f'writes this page.\n\n{table(rows)}\n')
    Path(args.out).write_text(page)
    print(page)


if __name__ == '__main__':
    main()
