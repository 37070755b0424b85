"""The page that counts all cases."""
from collections import Counter
from typing import Dict, List, Sequence, Tuple

from tests.bad_inputs.case import Case
from tests.bad_inputs.judge import Verdict
from tests.bad_inputs.results import Ran

ABOUT = '''# Bad inputs

`python -m tests.bad_inputs` gives wrong inputs to the tools, each in a process of its own, compares the answers with
the expected ones and writes this page. An input that must be refused is answered with the expected exit code and with
one line, an error of the expected class that names the file, the id or the option. No half-written file is left.
Inputs that only look wrong must work, and their results are checked. What was said to each input is written to
`work_dirs/bad_inputs.json`; `--only annotations --show` prints it for a class.

{cases} inputs: **{silent} silent wrong results, {tracebacks} tracebacks**, {half} half-written files, {unclear} other
answers than expected.

| inputs | number | must be refused | must work, or get a warning | not answered as expected |
| --- | --- | --- | --- | --- |
{table}

Day and commit of the runs: {runs}.
'''


def page(rows: Sequence[Tuple[str, Case, Ran]]) -> str:
    """The page, from the class, the case and the result of each row."""
    counts = Counter(ran.result.verdict for _, _, ran in rows)
    runs = Counter(ran.at for _, _, ran in rows)
    classes: Dict[str, List[Tuple[Case, Ran]]] = {}
    for name, case, ran in rows:
        classes.setdefault(name, []).append((case, ran))
    return ABOUT.format(
        cases=len(rows), silent=counts[Verdict.SILENT], tracebacks=counts[Verdict.TRACEBACK],
        half=counts[Verdict.HALF_WRITTEN], unclear=counts[Verdict.UNCLEAR],
        table='\n'.join(_line(name, cases) for name, cases in classes.items()),
        runs='; '.join(f'{at} ({count} inputs)' for at, count in runs.most_common()))


def _line(name: str, cases: Sequence[Tuple[Case, Ran]]) -> str:
    """The row of a class."""
    accepted = sum(case.code == 0 for case, _ in cases)
    wrong = sum(ran.result.verdict is not Verdict.GOOD for _, ran in cases)
    return f'| {name} | {len(cases)} | {len(cases) - accepted} | {accepted} | {wrong} |'
