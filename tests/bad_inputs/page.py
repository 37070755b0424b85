"""The page that shows all cases."""
from collections import Counter
from typing import Sequence, Tuple

from tests.bad_inputs.case import Case
from tests.bad_inputs.judge import Verdict
from tests.bad_inputs.results import Ran

SHOWN = 330
"""Characters of a message on the page."""
ABOUT = '''# Bad inputs

What the tools say to inputs that are wrong, and the exit code. `python -m tests.bad_inputs` gives each of them to a
tool in a process of its own, compares the answer with the one expected, and writes this page. Paths are shortened.

{cases} inputs: **{silent} silent wrong results, {tracebacks} tracebacks**, {half} half-written files, {unclear} other
answers than expected. Rows with the exit code 0 are inputs that look wrong and must work, or of which a warning is
enough; their results are checked.

Day and commit of the runs: {runs}.'''


def page(rows: Sequence[Tuple[str, Case, Ran]]) -> str:
    """The page, from the class, the case and the result of each row; the rows of a class follow each other."""
    counts = Counter(ran.result.verdict for _, _, ran in rows)
    runs = Counter(ran.at for _, _, ran in rows)
    lines = [ABOUT.format(
        cases=len(rows), silent=counts[Verdict.SILENT], tracebacks=counts[Verdict.TRACEBACK],
        half=counts[Verdict.HALF_WRITTEN], unclear=counts[Verdict.UNCLEAR],
        runs='; '.join(f'{at} ({count} inputs)' for at, count in runs.most_common()))]
    shown = None
    for name, case, ran in rows:
        if name != shown:
            lines += ['', f'## {name.capitalize()}', '', '| input | tool | what is said | exit code |',
                      '| --- | --- | --- | --- |']
            shown = name
        said = _cell(ran.result.said) if ran.result.said else '–'
        if ran.result.verdict is not Verdict.GOOD:
            said = f'**{ran.result.verdict.value}** {said}'
        lines.append(f'| {_cell(case.given)} | `{case.tool}` | {said} | {ran.result.code} |')
    return '\n'.join(lines) + '\n'


def _cell(text: str) -> str:
    cut = text if len(text) <= SHOWN else f'{text[:SHOWN]}…'
    return cut.replace('|', '\\|').replace('<', '&lt;').replace('*', '\\*').replace('_', '\\_').replace('[', '\\[')
