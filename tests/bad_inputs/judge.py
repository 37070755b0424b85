"""What came of a case, compared with what must come of it."""
import json
import re
from enum import Enum
from pathlib import Path
from typing import List, NamedTuple, Tuple

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint
from tests.bad_inputs.case import Case, Outcome, Place
from tests.bad_inputs.processes import HUNG
from tests.places import ROOT

LONGEST = 520
"""Characters of a message that is still one line to a reader."""
REPORTS = ('check_data', 'submission')
"""Tools that list problems on stdout."""


class Verdict(Enum):
    """The verdicts, the worst first."""
    SILENT = 'silent wrong result'
    TRACEBACK = 'traceback'
    HALF_WRITTEN = 'half-written file'
    UNCLEAR = 'unclear'
    GOOD = 'good'


class Result(NamedTuple):
    """Attributes: the verdict, why it is not good, what the last command said, its exit code, and the class of its
    error, empty where there is none or it is not known."""
    verdict: Verdict
    why: str
    said: str
    code: int
    raised: str = ''


def judge(case: Case, place: Place, outcome: Outcome) -> Result:
    """Judge the last command of a case."""
    said = what_is_said(case, outcome)
    verdict, why = _verdict(case, place, outcome, said)
    return Result(verdict, why, shorten(said, place), outcome.code, next(iter(outcome.raised), ''))


def _verdict(case: Case, place: Place, outcome: Outcome, said: str) -> Tuple[Verdict, str]:
    if 'Traceback (most recent call last)' in outcome.error + outcome.out:
        return Verdict.TRACEBACK, '\n'.join(outcome.error.splitlines()[-8:])[-1500:]
    if outcome.code == HUNG:
        return Verdict.UNCLEAR, f'hung: {outcome.error[-1000:]}'
    if outcome.code == 0 and case.code != 0:
        return Verdict.SILENT, f'exit code 0: {outcome.out[-500:]}{outcome.error[-1000:]}'
    if outcome.code != case.code:
        return Verdict.UNCLEAR, f'exit code {outcome.code}: {outcome.out[-500:]}{outcome.error[-1500:]}'
    left = half_written(place.out)
    if left:
        return Verdict.HALF_WRITTEN, f'{", ".join(left)} half-written'
    if case.error and outcome.raised and case.error not in outcome.raised:
        return Verdict.UNCLEAR, f'{outcome.raised[0]}, not {case.error}: {said}'
    everything = outcome.out + outcome.error
    missing = [part for part in case.says if part not in (everything if case.code == 0 else said)]
    if missing:
        return Verdict.UNCLEAR, f'not said: {missing}; said: {said or everything[-1000:]}'
    if case.code == 0:
        wrong = case.right(place, outcome) if case.right else ''
        return (Verdict.SILENT, wrong) if wrong else (Verdict.GOOD, '')
    if case.tool.endswith('.sh'):
        return Verdict.GOOD, ''
    if case.tool not in REPORTS or case.code != 1:
        return _one_line(outcome, said)
    return Verdict.GOOD, ''


def _one_line(outcome: Outcome, said: str) -> Tuple[Verdict, str]:
    """A refusal is a single line, the last of stderr, of bounded length."""
    errors = [line for line in outcome.error.splitlines() if re.match(r'(\[rank \d+\] )?error: ', line)]
    if len(errors) > 1:
        return Verdict.UNCLEAR, f'{len(errors)} lines of errors: {errors}'
    if not said or outcome.error.rstrip().splitlines()[-1:] != [said]:
        return Verdict.UNCLEAR, f'the last line is not the error: {outcome.error[-1000:]}'
    if len(said) > LONGEST:
        return Verdict.UNCLEAR, f'{len(said)} characters: {said}'
    return Verdict.GOOD, ''


def what_is_said(case: Case, outcome: Outcome) -> str:
    """The line of an error, the findings of a check, or the part of the output that a case waits for."""
    if case.code == 0:
        lines = [line for line in (outcome.out + outcome.error).splitlines()
                 if any(part in line for part in case.says)]
        return lines[0].strip() if lines else ''
    if case.tool in REPORTS and outcome.out.strip() and 'error: ' not in outcome.error:
        findings = outcome.out.strip().splitlines()
        return ' '.join(line.strip() for line in findings)
    lines = outcome.error.rstrip().splitlines()
    if case.tool.endswith('.sh'):
        return ' '.join(lines)
    return lines[-1] if lines else ''


def half_written(folder: Path) -> List[str]:
    """Files that a command has left without their end."""
    left = []
    for path in sorted(folder.rglob('*')) if folder.is_dir() else []:
        if path.name.endswith(('.part', '.tmp', '.tmp.mp4')):
            left.append(path.name)
        elif path.is_dir():
            continue
        elif path.suffix == '.pth':
            try:
                read_checkpoint(path)
            except CheckpointError:
                left.append(path.name)
        elif path.suffix == '.json' and 'vis_data' not in path.parts:
            try:
                json.loads(path.read_bytes())
            except ValueError:
                left.append(path.name)
    return left


def shorten(said: str, place: Place) -> str:
    """A message without the folders of this machine."""
    for folder in sorted({place.here, place.here.resolve(), place.files.people, place.files.folder, ROOT},
                         key=lambda path: -len(str(path))):
        said = said.replace(f'{folder}/', '').replace(str(folder), '.')
    said = re.sub(r'^\d{2}/\d{2} \d\d:\d\d:\d\d - mmengine - ', '', re.sub(r'\x1b\[[\d;]*m', '', said))
    return ' '.join(said.split())
