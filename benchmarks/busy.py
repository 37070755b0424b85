#!/usr/bin/env python3
"""Measure training on a quiet machine and beside busy processes, with every way in which libgomp's threads can wait.

    python benchmarks/busy.py [--busy 3] [--page docs/performance.md]

Nothing else may run on the machine meanwhile. Each way is measured in processes of its own: a training step of the
demo's network, whose data are ready, and the demo's training loop with a data worker. It takes about 6 minutes on
two cores, writes docs/busy.json, and puts the table into the page, between the lines ``<!-- busy -->``.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

from new_process import measured
from pages import fill
from places import DEMO, ROOT

CHOSEN, DEFAULT = 'chosen by the watch', "libgomp's default"
WAYS: Dict[str, Dict[str, str]] = {
    DEFAULT: {},
    CHOSEN: {},
    'OMP_WAIT_POLICY=passive': dict(OMP_WAIT_POLICY='passive'),
    'GOMP_SPINCOUNT=1000': dict(GOMP_SPINCOUNT='1000'),
    'GOMP_SPINCOUNT=10000': dict(GOMP_SPINCOUNT='10000'),
    'OMP_NUM_THREADS=1': dict(OMP_NUM_THREADS='1'),
}
"""Environment variables by the names of the ways."""
VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')
STEPS, LIMIT_S, WARM_UP, WARM_UP_S = 60, 7, 3, 2.5
"""Steps of a measurement, seconds after which it ends, and what is not counted at its start."""
QUIET_GOAL, BUSY_GOAL = 1.03, 4.
SPIN = 'while True: pass'


class Found(NamedTuple):
    """Median milliseconds of a training step, and of an iteration of the demo's loop."""
    step: float
    loop: float


def measure(watched: bool, people: str) -> Found:
    """What one process measures, in the environment that it was started with."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    from mmpose_mspn.apis.config import load_config
    from mmpose_mspn.utils.waiting import BusyWatch
    init_default_scope('mmpose')
    cfg = load_config(str(DEMO), data_root=people)
    cfg.train_dataloader.num_workers = 1
    cfg.work_dir, cfg.log_level = os.path.join(people, 'work_dir'), 'ERROR'
    for name in ('val', 'test'):
        cfg[f'{name}_cfg'] = cfg[f'{name}_dataloader'] = cfg[f'{name}_evaluator'] = None
    model = Runner.from_cfg(cfg).model.train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    loader = Runner.build_dataloader(cfg.train_dataloader)
    with ExitStack() as stack:
        if watched:
            stack.enter_context(BusyWatch())
        batches = iter(loader)
        batch = next(batches)
        loop = _milliseconds(lambda: model.train_step(next(batches), optimizer))
        loader._iterator = batches = None  # ends the data workers
        return Found(_milliseconds(lambda: model.train_step(batch, optimizer)), loop)


def _milliseconds(work: Callable[[], object]) -> float:
    """The median, after the first steps and ``WARM_UP_S`` seconds, in which the watch measures the machine."""
    _times(work, WARM_UP, WARM_UP_S)
    return 1000 * statistics.median(_times(work, 2, LIMIT_S, STEPS))


def _times(work: Callable[[], object], least: int, seconds: float, most: Optional[int] = None) -> List[float]:
    """Seconds of each call: ``least`` calls and more until the seconds have passed, and ``most`` at the most."""
    start, taken = time.perf_counter(), []
    while len(taken) != most and (len(taken) < least or time.perf_counter() - start < seconds):
        before = time.perf_counter()
        work()
        taken.append(time.perf_counter() - before)
    return taken


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Processes that keep a core busy each."""
    processes = [subprocess.Popen([sys.executable, '-c', SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(way: str, busy: int, people: str) -> Found:
    """Measure a way in a new process, beside busy ones."""
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with busy_processes(busy):
        return Found(*measured(__file__, '--measure', way, '--people', people, environment={**env, **WAYS[way]}))


def table(found: Dict[str, Dict[str, List[Found]]], busy: int) -> str:
    """The table of the page, from measurements by way and by ``quiet`` or ``busy``."""
    def value(way: str, state: str, what: str) -> float:
        return statistics.median(getattr(one, what) for one in found[way][state])

    lines = [f'| threads wait | step, quiet | step beside {busy} | loop, quiet | loop beside {busy} |',
             '| --- | --- | --- | --- | --- |']
    for way in found:
        cells = [way if way in (CHOSEN, DEFAULT) else f'`{way}`']
        for what in ('step', 'loop'):
            quiet = value(DEFAULT, 'quiet', what)
            cells += [f'{value(way, state, what):.0f} ms ({value(way, state, what) / quiet:.2f}×)'
                      for state in ('quiet', 'busy')]
        lines.append(f'| {" | ".join(cells)} |')
    quiet = value(DEFAULT, 'quiet', 'step')
    slower, times = (value(CHOSEN, state, 'step') / quiet for state in ('quiet', 'busy'))
    reached = slower <= QUIET_GOAL and times <= BUSY_GOAL
    lines += ['', f'With the watch, a step takes {round(100 * (slower - 1)):+d} % time on the quiet machine '
              f'(goal: at most +3 %) and {times:.1f}× beside {busy} busy processes (goal: at most 4×): '
              f'{"both goals are reached" if reached else "a goal is missed"}.']
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--busy', type=int, default=3, help='busy processes (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=2, help='times that the quiet machine is measured')
    parser.add_argument('--page', type=Path, default=ROOT / 'docs/performance.md', help='page with the table')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/busy.json', help='file of all values')
    parser.add_argument('--measure', choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument('--people', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure == CHOSEN, args.people)))
        return
    found: Dict[str, Dict[str, List[Found]]] = {way: dict(quiet=[], busy=[]) for way in WAYS}
    with tempfile.TemporaryDirectory() as people:
        subprocess.run([sys.executable, ROOT / 'tools/make_synthetic.py', people, '--train', '64', '--val', '1'],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for state in ['quiet'] * args.rounds + ['busy']:
            for way in WAYS:
                found[way][state].append(run(way, args.busy if state == 'busy' else 0, people))
                print(state, way, *(f'{value:.0f} ms' for value in found[way][state][-1]), flush=True)
    text = table(found, args.busy)
    print(text)
    cores = len(os.sched_getaffinity(0))
    args.out.write_text(json.dumps(dict(cores=cores, busy=args.busy, ways=found), indent=1) + '\n', encoding='utf-8')
    fill(args.page, 'busy', text)


if __name__ == '__main__':
    main()
