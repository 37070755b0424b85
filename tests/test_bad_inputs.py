"""The fast part of ``python -m tests.bad_inputs``, and its judge."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_inputs.case import Case, Files, Outcome, Place
from tests.bad_inputs.judge import Result, Verdict, judge
from tests.bad_inputs.page import page
from tests.bad_inputs.results import Ran, key_of, read_results, write_results
from tests.bad_inputs.table import CLASSES
from tests.launching import environment
from tests.places import ROOT


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-m', 'tests.bad_inputs', *map(str, arguments)], cwd=ROOT, text=True,
                          env=environment(), capture_output=True)


def test_no_bad_input_passes_in_silence(tmp_path):
    done = run('--fast', '--json', tmp_path / 'results.json')
    assert done.returncode == 0, f'{done.stdout}{done.stderr}'
    results = json.loads((tmp_path / 'results.json').read_text())
    assert len(results) >= 40 and {result['verdict'] for result in results} == {'good'}
    assert all(result['said'] for result in results)


def test_a_name_that_there_is_not_is_answered_with_near_matches():
    done = run('--only', 'annotations', '--fast', '--list')
    assert done.returncode == 0 and 'a NaN coordinate (train)' in done.stdout
    done = run('--only', 'anotations')
    assert done.returncode == 1 and "did you mean 'annotations'" in done.stderr


def test_the_table_is_large_and_its_names_are_unique():
    assert set(CLASSES) == {'annotations', 'boxes', 'images', 'checkpoints', 'configs', 'options', 'disks', 'signals'}
    assert sum(map(len, CLASSES.values())) >= 150
    for rows in CLASSES.values():
        names = [(case.name, tuple(case.commands)) for case in rows]
        assert len(names) == len(set(names))


REFUSED = Case('an input', [('train', )], ['file.json', 'remedy'])
WORKS = Case('an input', [('train', )], ['done'], 0, right=lambda place, outcome: '' if outcome.out else 'no result')
GOOD = 'error: file.json: remedy'


@pytest.mark.parametrize('case, outcome, verdict', [
    (REFUSED, Outcome(1, '', GOOD), Verdict.GOOD),
    (REFUSED, Outcome(0, '', GOOD), Verdict.SILENT),
    (REFUSED, Outcome(1, '', f'Traceback (most recent call last):\n{GOOD}'), Verdict.TRACEBACK),
    (REFUSED, Outcome(139, '', GOOD), Verdict.UNCLEAR),
    (REFUSED, Outcome(1, '', 'error: remedy'), Verdict.UNCLEAR),
    (REFUSED, Outcome(1, '', f'{GOOD}\n{GOOD}'), Verdict.UNCLEAR),
    (REFUSED, Outcome(1, '', f'{GOOD}\nmore'), Verdict.UNCLEAR),
    (REFUSED, Outcome(1, '', GOOD + 600 * '.'), Verdict.UNCLEAR),
    (WORKS, Outcome(0, 'done', ''), Verdict.GOOD),
    (WORKS, Outcome(0, '', 'done'), Verdict.SILENT),
    (WORKS, Outcome(1, 'done', ''), Verdict.UNCLEAR),
])
def test_the_judge(tmp_path, case, outcome, verdict):
    place = Place(tmp_path, Files(tmp_path, tmp_path / 'people', tmp_path / 'small.py', tmp_path / 'iter_2.pth'))
    result = judge(case, place, outcome)
    assert result.verdict is verdict


@pytest.mark.parametrize('raised, verdict', [
    (['DataError', 'UserError', 'ValueError'], Verdict.GOOD),
    (['CheckpointError', 'UserError', 'ValueError'], Verdict.UNCLEAR),
    ([], Verdict.GOOD),  # not known
])
def test_an_error_of_another_class_is_found(tmp_path, raised, verdict):
    case = Case('an input', [('train', )], ['file.json'], error='DataError')
    place = Place(tmp_path, Files(tmp_path, tmp_path / 'people', tmp_path / 'small.py', tmp_path / 'iter_2.pth'))
    assert judge(case, place, Outcome(1, '', GOOD, raised)).verdict is verdict


def test_the_page_counts_inputs_by_class():
    good, silent = (Ran(Result(verdict, '', '', 1), '2026-01-02, 1a2b3c4')
                    for verdict in (Verdict.GOOD, Verdict.SILENT))
    written = page([('options', REFUSED, good), ('options', WORKS, good), ('boxes', REFUSED, silent)])
    assert '| options | 2 | 1 | 1 | 0 |' in written and '| boxes | 1 | 1 | 0 | 1 |' in written
    assert '3 inputs: **1 silent wrong results, 0 tracebacks**' in written
    assert '2026-01-02, 1a2b3c4 (3 inputs)' in written


def test_results_of_an_earlier_run_are_those_of_the_same_commands(tmp_path):
    result = judge(REFUSED, Place(tmp_path, Files(*[tmp_path] * 4)), Outcome(1, '', GOOD))
    same, changed = key_of('options', REFUSED), key_of('options', Case('an input', [('train', '--amp')]))
    write_results(tmp_path / 'results.json', {same: Ran(result, 'day, commit')})
    assert read_results(tmp_path / 'results.json', [same, changed]) == {same: Ran(result, 'day, commit')}
    assert read_results(tmp_path / 'results.json', [changed]) == {}


@pytest.mark.parametrize('name, content', [('iter_1.pth', b'half'), ('predictions.json', b'{'), ('.a.json.part', b'')])
def test_a_half_written_file_is_found(tmp_path, name, content):
    place = Place(tmp_path, Files(tmp_path, tmp_path / 'people', tmp_path / 'small.py', tmp_path / 'iter_2.pth'))
    place.out.mkdir()
    Path(place.out, name).write_bytes(content)
    assert judge(REFUSED, place, Outcome(1, '', GOOD)).verdict is Verdict.HALF_WRITTEN
