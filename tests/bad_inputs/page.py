"""The page that shows all cases."""
from collections import Counter
from typing import Dict, List, Tuple

from tests.bad_inputs.case import Case
from tests.bad_inputs.judge import Result, Verdict

SHOWN = 330
"""Characters of a message on the page."""
ABOUT = '''# Bad inputs

What the tools say to inputs that are wrong, and the exit code. `python -m tests.bad_inputs` gives each of them to a
tool in a process of its own, compares the answer with the one expected, and writes this page. Paths are shortened.

{cases} inputs: **{silent} silent wrong results, {tracebacks} tracebacks**, {half} half-written files, {unclear} other
answers than expected. Rows with the exit code 0 are inputs that look wrong and must work; their results are checked.'''


def page(results: Dict[str, List[Tuple[Case, Result]]]) -> str:
    """The page, from cases and results by class."""
    counts = Counter(result.verdict for rows in results.values() for _, result in rows)
    lines = [ABOUT.format(
        cases=sum(counts.values()), silent=counts[Verdict.SILENT], tracebacks=counts[Verdict.TRACEBACK],
        half=counts[Verdict.HALF_WRITTEN], unclear=counts[Verdict.UNCLEAR])]
    for name, rows in results.items():
        lines += ['', f'## {name.capitalize()}', '', '| input | tool | what is said | exit code |',
                  '| --- | --- | --- | --- |']
        for case, result in rows:
            said = _cell(result.said) if result.said else '–'
            if result.verdict is not Verdict.GOOD:
                said = f'**{result.verdict.value}** {said}'
            lines.append(f'| {_cell(case.given)} | `{case.tool}` | {said} | {result.code} |')
    return '\n'.join(lines) + '\n'


def _cell(text: str) -> str:
    cut = text if len(text) <= SHOWN else f'{text[:SHOWN]}…'
    return cut.replace('|', '\\|').replace('<', '&lt;').replace('*', '\\*').replace('_', '\\_').replace('[', '\\[')
