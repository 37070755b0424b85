"""Runs the cases of the table and writes the page."""
import argparse
import os
import pickle
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import torch
from tqdm import tqdm

from mmpose_mspn.deploy.onnx_file import LOWEST_TORCH
from mmpose_mspn.utils.arguments import near_matches
from tests.bad_inputs.case import Case, Files, Place
from tests.bad_inputs.files import make_files
from tests.bad_inputs.judge import Result, Verdict, judge
from tests.bad_inputs.page import page
from tests.bad_inputs.processes import at_work, fork, run, warm_up
from tests.bad_inputs.results import Ran, key_of, now, read_results, write_results
from tests.bad_inputs.table import CLASSES
from tests.launching import environment
from tests.places import ROOT

Named = Tuple[str, Case]
"""The class of a case, and the case."""


def select(only: Sequence[str], fast: bool) -> List[Named]:
    """The cases of the classes in ``only``, and those whose names contain one of ``only``.

    Where the installed torch is too old to export, all exports have one answer, and their cases are left out.

    Raises:
        SystemExit: There are none.
    """
    cases = [(name, case) for name, rows in CLASSES.items() for case in rows
             if torch.__version__ >= LOWEST_TORCH or case.commands[-1][0] != 'export']
    for words in only:
        if not any(_is_named(name, case, words) for name, case in cases):
            names = {*CLASSES, *(case.given for _, case in cases)}
            raise SystemExit(f'error: there is no class or case {words!r}{near_matches(words, names)}')
    return [(name, case) for name, case in cases
            if any(_is_named(name, case, words) for words in only) and (case.fast or not fast)]


def _is_named(name: str, case: Case, words: str) -> bool:
    return words == name or words.lower() in case.name.lower()


def run_case(case: Case, place: Place) -> Result:
    """Prepare a case, run its commands and judge the last."""
    place.here.mkdir()
    place.out.mkdir()
    if case.prepare:
        case.prepare(place)
    for command in case.commands[:-1]:
        outcome = run(command, place, case, last=False)
        if outcome.code:
            return Result(Verdict.UNCLEAR, f'{command} failed: {outcome.out[-500:]}{outcome.error[-3000:]}', '',
                          outcome.code)
    with at_work(case, place):
        outcome = run(case.commands[-1], place, case, last=True)
    return judge(case, place, outcome)


def run_all(chosen: List[Named], files: Files, lanes: int) -> List[Result]:
    """Run cases in processes, ``lanes`` of them at a time, each of which forks those of its commands."""
    results: Dict[int, Result] = {}
    running: Dict[int, int] = {}
    waiting = list(range(len(chosen)))
    bar = tqdm(total=len(chosen), desc='bad inputs', disable=not sys.stderr.isatty())
    while waiting or running:
        while waiting and len(running) < lanes:
            number = waiting.pop(0)
            running[_start(number, chosen[number][1], files)] = number
        pid, _ = os.wait()
        number = running.pop(pid)
        results[number] = _collect(number, files)
        bar.update()
    bar.close()
    return [results[number] for number in range(len(chosen))]


def _start(number: int, case: Case, files: Files) -> int:
    place = Place(files.folder / f'case{number}', files)

    def body() -> None:
        try:
            result = run_case(case, place)
        except Exception:  # a mistake in the table
            result = Result(Verdict.UNCLEAR, f'the case itself failed: {traceback.format_exc()}', '', 0)
        (files.folder / f'{number}.pickle').write_bytes(pickle.dumps(result))

    with open(files.folder / f'{number}.err', 'wb') as said:
        return fork(body, [said.fileno(), said.fileno()])


def _collect(number: int, files: Files) -> Result:
    written = files.folder / f'{number}.pickle'
    shutil.rmtree(files.folder / f'case{number}', ignore_errors=True)
    if not written.exists():
        said = (files.folder / f'{number}.err').read_text(errors='replace')
        return Result(Verdict.UNCLEAR, f'the case itself ended: {said[-1000:]}', '', 0)
    return pickle.loads(written.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m tests.bad_inputs', description=__doc__)
    parser.add_argument('--only', nargs='+', default=[''], metavar='WORDS', help='classes, or words in names of cases')
    parser.add_argument('--fast', action='store_true', help='only the cases that the test suite runs')
    parser.add_argument('--show', action='store_true', help='print what is said to each input')
    parser.add_argument('--list', action='store_true', help='print the names of the cases and run none')
    parser.add_argument('--lanes', type=int, default=os.cpu_count() or 1, help='cases at a time, default %(default)s')
    parser.add_argument('--json', type=Path, default=ROOT / 'work_dirs/bad_inputs.json', metavar='FILE',
                        help='file for what was said to each input, default %(default)s')
    parser.add_argument('--earlier', metavar='FILE', help='--json of an earlier run: of its cases only those that were '
                        'not answered as they should be, and those that --only names, are run again')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/bad-inputs.md',
                        help='page to write when all cases have a result, default %(default)s')
    args = parser.parse_args()
    chosen = select(args.only, args.fast)
    known = {key_of(name, case): (name, case) for name, case in select([''], fast=False)}
    results = read_results(Path(args.earlier), list(known)) if args.earlier else {}
    if args.earlier and args.only == ['']:
        chosen = [named for key, named in known.items()
                  if key not in results or results[key].result.verdict is not Verdict.GOOD]
    if args.list:
        print('\n'.join(f'{name}: {case.name}' for name, case in chosen))
        return 0
    os.environ.update(environment(), MMPOSE_MSPN_DEBUG='')
    warm_up()
    at = now()
    with tempfile.TemporaryDirectory(prefix='bad-inputs-') as folder:
        found = run_all(chosen, make_files(Path(folder)), args.lanes)
    for (name, case), result in zip(chosen, found):
        results[key_of(name, case)] = Ran(result, at)
        if args.show or result.verdict is not Verdict.GOOD:
            print(f'{result.verdict.value}: {name}: {case.name} -> {result.code}: {result.said}'
                  f'{chr(10) if result.why else ""}{result.why}')
    write_results(args.json, results)
    if set(results) == set(known):
        args.out.write_text(page([(*named, results[key]) for key, named in known.items()]))
    bad = sum(result.verdict is not Verdict.GOOD for result in found)
    print(f'{len(found)} inputs, {bad} not answered as they should be')
    return int(bool(bad))


if __name__ == '__main__':
    sys.exit(main())
