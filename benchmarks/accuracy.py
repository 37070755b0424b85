#!/usr/bin/env python3
"""Compare the accuracy of the official rule with mmpose's, and of the paper's ideas with networks that lack them.

    python benchmarks/accuracy.py run [--scale demo] [--part rules] [--seeds 5] [--parallel 2] [--only PATTERN]
    python benchmarks/accuracy.py speed        # before the part "time", on a machine that does nothing else
    python benchmarks/accuracy.py report       # writes docs/accuracy.md and its plot
    python benchmarks/accuracy.py list         # the runs, which are finished, and the time that is left

All networks train on drawn people and are measured on others. benchmarks/accuracy_plan.py holds the table of
questions and the networks that answer them. Each run is a process of one thread whose result is a
file below ``--work``; finished runs are not repeated, and an interrupted one resumes from its last checkpoint, so the
command can be stopped and repeated at any time. Results that docs/measured/accuracy.json holds of a machine like this
one, with the same versions, are not repeated either.
"""
import argparse
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Dict, List, Optional

from accuracy_plan import QUESTIONS, SCALES, Run, plan
from common import ROOT

SPEED = 'speed.json'
POLL = 1.
"""Seconds between two looks at the running processes."""


def speed_of(work: Path, scale: str) -> Optional[float]:
    """How many iterations the fast side does while the other does one; ``None`` if it has not been measured."""
    file = work / scale / SPEED
    return json.loads(file.read_text())['ratio'] if file.exists() else None


def planned(args: argparse.Namespace) -> List[Run]:
    """The runs that the command line asks for, in order."""
    parts = tuple(args.part or QUESTIONS)
    speed = speed_of(args.work, args.scale)
    if speed is None and not args.part:
        # Without the parts that need it.
        parts = tuple(part for part in parts if not QUESTIONS[part].equal_time)
    runs = plan(args.scale, parts, tuple(range(1, args.seeds + 1)), speed)
    return [run for run in runs if re.search(args.only, run.name)]


def take_recorded(record: Path, work: Path) -> None:
    """Put the results of a report below the folder of the runs, unless its machine or its versions are others.

    Args:
        record: The report's JSON file; it may be missing.
        work: Folder of all runs.
    """
    from accuracy_report import environment
    from accuracy_run import RESULT

    from mmpose_mspn.utils.files import write_json
    recorded = json.loads(record.read_text()) if record.exists() else dict(about=None)
    if recorded['about'] != environment():
        return
    for name, result in recorded['runs'].items():
        file = work / name / RESULT
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, dict(run=name, **result))


def results_of(runs: List[Run], data: Path, work: Path) -> Dict[Run, dict]:
    """The results of the finished runs whose configs are still the same; others are named and left out."""
    from accuracy_config import build_config, fingerprint
    from accuracy_run import RESULT
    found = {}
    for run in runs:
        file = work / run.name / RESULT
        if not file.exists():
            continue
        result = json.loads(file.read_text())
        if result['config'] == fingerprint(build_config(run, data, work)):
            found[run] = result
        else:
            print(f'{file} is of another config of this run: delete it to train the run again', file=sys.stderr)
    return found


def seconds_left(runs: List[Run], finished: Dict[Run, dict], parallel: int) -> Optional[float]:
    """An estimate from the finished runs, by iterations and stages; ``None`` without one."""
    known = [(result['seconds'], run) for run, result in finished.items() if result['seconds']]
    if not known:
        return None
    each = sum(seconds for seconds, _ in known) / sum(run.iterations * run.stages for _, run in known)
    return each * sum(run.iterations * run.stages for run in runs if run not in finished) / parallel


def report_progress(runs: List[Run], finished: Dict[Run, dict], parallel: int) -> None:
    left = seconds_left(runs, finished, parallel)
    said = '' if left is None else f', about {left / 60:.0f} minutes left'
    print(f'{time.strftime("%H:%M:%S")} {len(finished)} of {len(runs)} runs finished{said}', flush=True)


def start(run: Run, data: Path, work: Path) -> BaseProcess:
    """Run it in a process, which starts with all that this one has imported."""
    process = multiprocessing.get_context('fork').Process(target=_train, args=(run, data, work))
    process.start()
    return process


def _train(run: Run, data: Path, work: Path) -> None:
    """A run on one thread; what it prints goes to a file beside its result."""
    import torch
    from accuracy_run import train_and_measure
    folder = work / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'output.txt', 'ab') as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    torch.set_num_threads(1)
    train_and_measure(run, data, work)


def run_all(args: argparse.Namespace) -> None:
    """Train what is not finished, ``args.parallel`` at a time."""
    # Read as torch is imported: threads that wait for each other would take the cores from the other runs.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', OMP_WAIT_POLICY='passive', LOCAL_RANK='0')
    from accuracy_run import make_people
    from mmengine.registry import init_default_scope
    init_default_scope('mmpose')
    runs = planned(args)
    make_people(args.data, args.scale)
    finished = results_of(runs, args.data, args.work)
    waiting = [run for run in runs if run not in finished]
    running: Dict[Run, BaseProcess] = {}
    # So that the processes below end with this one, however it is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))
    report_progress(runs, finished, args.parallel)
    try:
        while waiting or running:
            while waiting and len(running) < args.parallel:
                run = waiting.pop(0)
                running[run] = start(run, args.data, args.work)
            time.sleep(POLL)
            for run in [run for run, process in running.items() if not process.is_alive()]:
                code = running.pop(run).exitcode
                if code:
                    raise SystemExit(f'{run.name} ended with {code}: {args.work / run.name / "output.txt"} says why')
                finished.update(results_of([run], args.data, args.work))
                report_progress(runs, finished, args.parallel)
    finally:
        for process in running.values():
            process.terminate()


def write_report(args: argparse.Namespace) -> None:
    from accuracy_report import report
    runs = planned(args)
    report(args, results_of(runs, args.data, args.work), speed_of(args.work, args.scale))


def list_runs(args: argparse.Namespace) -> None:
    runs = planned(args)
    finished = results_of(runs, args.data, args.work)
    for run in runs:
        print('finished' if run in finished else 'waiting ', run.name)
    report_progress(runs, finished, args.parallel)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('do', choices=('run', 'speed', 'report', 'list'))
    parser.add_argument('--scale', choices=SCALES, default='demo')
    parser.add_argument('--part', nargs='+', choices=QUESTIONS, help='default: all')
    parser.add_argument('--seeds', type=int, default=5, help='pairs of each comparison, >= 1 (default: %(default)s)')
    parser.add_argument('--only', default='', metavar='PATTERN',
                        help='only runs in whose names this regular expression is found')
    parser.add_argument('--parallel', type=int, default=2, help='runs at a time, >= 1 (default: %(default)s)')
    parser.add_argument('--work', type=Path, default=Path('work_dirs/accuracy'), help='default: %(default)s')
    parser.add_argument('--data', type=Path, help='folder of the drawn people (default: WORK/people-SCALE)')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/accuracy.md',
                        help='the report; its values and its plot go to the folder "measured" beside it')
    args = parser.parse_args()
    for name in ('seeds', 'parallel'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be >= 1, got {getattr(args, name)}')
    args.data = args.data or args.work / f'people-{args.scale}'
    if args.do == 'speed':
        from accuracy_run import measure_speed
        print(measure_speed(args.scale, args.data, args.work / args.scale / SPEED))
    else:
        from accuracy_report import files_of
        take_recorded(files_of(args.out)['json'], args.work)
        dict(run=run_all, report=write_report, list=list_runs)[args.do](args)


if __name__ == '__main__':
    main()
