"""Results of cases in a file, from which some of them can be run again."""
import json
import subprocess
import time
from pathlib import Path
from typing import Dict, NamedTuple, Sequence, Tuple

from tests.bad_inputs.case import Case
from tests.bad_inputs.judge import Result, Verdict
from tests.places import ROOT

Key = Tuple[str, str, str]
"""Class, name and commands of a case."""


class Ran(NamedTuple):
    """A result, and the day and the commit of the run that it comes from."""
    result: Result
    at: str


def key_of(cls: str, case: Case) -> Key:
    return cls, case.name, json.dumps(case.commands)


def now() -> str:
    """Day and commit of this run; the commit is marked if files differ from it."""
    def git(*arguments: str) -> str:
        return subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    commit = git('rev-parse', '--short', 'HEAD') or 'no commit'
    changed = ' with changes' if git('status', '--porcelain', '--untracked-files=no') else ''
    return f'{time.strftime("%Y-%m-%d")}, {commit}{changed}'


def write_results(path: Path, results: Dict[Key, Ran]) -> None:
    """Write results to a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([
        dict(cls=cls, case=case, commands=commands, verdict=ran.result.verdict.value, why=ran.result.why,
             said=ran.result.said, code=ran.result.code,
             raised=ran.result.raised, at=ran.at) for (cls, case, commands), ran in results.items()
    ], indent=1))


def read_results(path: Path, known: Sequence[Key]) -> Dict[Key, Ran]:
    """The results in a file that are of known cases."""
    found = {(one['cls'], one['case'], one['commands']): Ran(
        Result(Verdict(one['verdict']), one['why'], one['said'], one['code'], one['raised']), one['at'])
        for one in json.loads(path.read_text())}
    return {key: found[key] for key in known if key in found}
