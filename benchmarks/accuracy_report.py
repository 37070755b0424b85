"""docs/accuracy.md: claims, and paired differences between variants with confidence intervals, as tables and a plot."""
import argparse
import datetime
import statistics
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import matplotlib
from accuracy_plan import QUESTIONS, SCALES, Row, Run, run_of
from accuracy_run import operations
from common import MEASURED, Interval, listed, machine

from mmpose_mspn.utils.files import write_json

RECORDED = ('config', 'seconds', 'threads', 'measured')
"""What the JSON file keeps of a result."""
FOLDER = MEASURED.name
"""Of values and plot, beside the page."""
METRICS = {'AP': 3, 'AP50': 3, 'AP75': 3, 'px': 2}
"""Columns, and their decimals."""


INTRODUCTION = """# Accuracy at equal budget

Is the official rule better than mmpose's, and do the paper's ideas help? Each claim below was tested by pairs of
trainings that differ in one choice. They have the same drawn people, start, order of samples, flips and, unless said
otherwise, iterations; another seed changes all of these but the people. The networks have {size.channels} channels
and {size.stages} stages, crops of {size.input_size[0]}×{size.input_size[1]} px and batches of {size.batch_size}, and
Adam's rate of {size.learning_rate:g} falls along a cosine. Unless said otherwise, the norms of the predictors start
at 1, as in the official code. The networks are measured on {size.val_images} images of people that no training sees,
with annotated boxes and the flip test. A decode finds positions and scores of keypoints; some rows cross one rule's
positions with the other's scores. Both decodes blur by the finest kernel, as they do at the official sizes.

"AP in its favor" is the mean difference of the pairs in COCO's AP, positive where it speaks for the claim, with the
95 % confidence interval by Student's t. A claim is undecided where that interval holds 0. If none of the claims were
true, one in twenty would be decided by chance. Networks as small as these, on drawings, tell which choice is better
here; they do not foretell figures on COCO.

{claims}

![paired differences in AP]({plot})

[{json}]({json}) holds the values of all trainings. In the tables, operations are million multiply-adds for a crop, and
px is the mean error of visible keypoints in px of the image. Differences are those of a row from its reference, bold
where their interval leaves 0 out.

The following wrote this page on {date} from {finished} trainings of one thread each ({about}):

```bash
python benchmarks/accuracy.py run --scale {scale}
python benchmarks/accuracy.py report --scale {scale}
```
"""
FASTER = 'The fast side did {speed:.2f} iterations in the time of one of the reference, measured in turns.\n\n'
NOT_RUN = 'not run yet'
CONCLUSIONS = '## What follows'
"""The heading of what is written by hand at the end of the page, and stays when the page is written again."""


@dataclass(frozen=True)
class Comparison:
    """A row of a question's table at one setting.

    Attributes:
        row: What is compared.
        setting: One of the question's.
        run: One of its runs.
        is_reference: Whether it is what the others are compared with.
        values: By metric, one value per seed, of those seeds that have both sides.
        differences: By metric, from the reference, seed by seed; of the reference itself all 0.
    """
    row: Row
    setting: Tuple[int, int]
    run: Run
    is_reference: bool
    values: Dict[str, List[float]]
    differences: Dict[str, List[float]]


def compare(scale: str, part: str, results: Dict[Run, dict], speed: Optional[float]) -> List[Comparison]:
    """The comparisons of a question for which there are results, the reference of each setting first."""
    question, found = QUESTIONS[part], []
    if question.equal_time and speed is None:
        return []
    seeds = sorted({run.seed for run in results if run.scale == scale})
    for setting in range(len(question.settings)):
        for row in question.rows:
            pairs = []
            for seed in seeds:
                reference, own = (run_of(scale, part, one, setting, seed, speed) for one in (question.reference, row))
                if reference in results and own in results:
                    pairs.append((results[own]['measured'][row.decoder],
                                  results[reference]['measured'][question.reference.decoder]))
            if pairs:
                run = run_of(scale, part, row, setting, seeds[0], speed)
                found.append(Comparison(
                    row, question.settings[setting], run, row == question.reference,
                    {name: [own[name] for own, _ in pairs] for name in METRICS},
                    {name: [own[name] - other[name] for own, other in pairs] for name in METRICS}))
    return found


def table(comparisons: List[Comparison], operations: Callable[[Run], float]) -> str:
    """In Markdown. Means over the seeds; differences with their confidence intervals, bold where they leave 0 out.

    Args:
        comparisons: The rows.
        operations: Million multiply-adds of a run's network for a crop.
    """
    lines = ['| network | operations | people | iterations | pairs | AP | AP50 | AP75 | px | difference in AP | '
             'difference in px |', '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |']
    for one in comparisons:
        means = ' | '.join(f'{statistics.fmean(one.values[name]):.{digits}f}' for name, digits in METRICS.items())
        differences = ' | '.join('reference' if one.is_reference else _difference(one.differences[name], name)
                                 for name in ('AP', 'px'))
        lines.append(f'| {one.row.title} | {operations(one.run):.0f} | {one.run.people:,} | {one.run.iterations:,} | '
                     f'{len(one.values["AP"])} | {means} | {differences} |')
    return '\n'.join(lines)


def _difference(differences: Sequence[float], name: str) -> str:
    return Interval.of(differences).said(METRICS[name])


def verdict(favor: Sequence[float]) -> str:
    """Whether a claim holds, by the paired differences in AP, which are positive where they speak for it."""
    if not favor:
        return NOT_RUN
    interval = Interval.of(favor)
    if not interval.clear:
        return 'undecided'
    return '**holds**' if interval.mean > 0 else '**the opposite holds**'


def claims(scale: str, found: Dict[str, List[Comparison]]) -> str:
    """A table of all claims, in Markdown.

    Args:
        scale: A key of ``SCALES``.
        found: The comparisons of each question.
    """
    size = SCALES[scale]
    lines = ['| claim | people | iterations | pairs | AP in its favor | at this scale |',
             '| --- | --- | --- | --- | --- | --- |']
    for part, question in QUESTIONS.items():
        for people, length in question.settings:
            for row in question.others:
                one = next((one for one in found.get(part, ()) if one.row == row and not one.is_reference
                            and one.setting == (people, length)), None)
                favor = [row.sign * value for value in one.differences['AP']] if one else []
                lines.append(f'| {row.claim} | {size.people[people]:,} | {size.iterations[length]:,} | '
                             f'{len(favor)} | {_difference(favor, "AP") if favor else ""} | {verdict(favor)} |')
    return '\n'.join(lines)


def plot(found: Dict[str, List[Comparison]], path: Path) -> None:
    """The paired differences in AP: a dot for each seed, a bar for the confidence interval of the mean."""
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    rows: List[Tuple[str, Comparison]] = [
        (part, one) for part, comparisons in found.items() for one in comparisons
        if not one.is_reference]
    figure, axis = plt.subplots(figsize=(10, 1.2 + 0.42 * len(rows)))
    for place, (_, one) in enumerate(rows):
        differences = one.differences['AP']
        interval = Interval.of(differences)
        axis.plot(differences, [place] * len(differences), 'o', color='tab:blue', alpha=0.4)
        axis.errorbar(interval.mean, place, xerr=interval.half, fmt='D', color='black', capsize=4)
    axis.axvline(0, color='gray', linewidth=1)
    labels = [f'{one.row.title}\nagainst: {QUESTIONS[part].reference.title}; {one.run.people:,} people, '
              f'{one.run.iterations:,} iterations' for part, one in rows]
    axis.set_yticks(range(len(rows)), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel('difference in AP of pairs (dots), mean and 95 % confidence interval (black)')
    axis.grid(axis='x', alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def conclusions(page: Path) -> str:
    """What is written by hand in a page, if it exists, from its heading to the end."""
    before, heading, written = (page.read_text() if page.exists() else '').partition(CONCLUSIONS)
    return f'\n{heading}{written}' if heading else ''


def files_of(page: Path) -> Dict[str, Path]:
    """The values and the plot of a report, by suffix."""
    return {suffix: page.parent / FOLDER / f'{page.stem}.{suffix}' for suffix in ('json', 'png')}


def environment() -> Dict[str, str]:
    """The machine and the versions that results belong to."""
    return {name: value for name, value in machine('cpu').items() if name != 'threads'}


def write_record(path: Path, scale: str, results: Dict[Run, dict]) -> None:
    """Write the results as JSON, with the machine and the versions."""
    runs = {run.name: {name: result[name] for name in RECORDED} for run, result in results.items()}
    write_json(path, dict(about=environment(), scale=scale, runs=runs), indent=1)


def report(args: argparse.Namespace, results: Dict[Run, dict], speed: Optional[float]) -> None:
    """Write the page, its plot, and the values of all runs as JSON.

    Args:
        args: The command line.
        results: Of the runs that are finished.
        speed: The measured speed of the question at equal time.

    Raises:
        SystemExit: No pair of runs is finished.
    """
    found = {part: compare(args.scale, part, results, speed) for part in QUESTIONS}
    found = {part: comparisons for part, comparisons in found.items()
             if any(not one.is_reference for one in comparisons)}
    if not found:
        raise SystemExit('no pair of runs is finished: run benchmarks/accuracy.py run first')
    files = files_of(args.out)
    files['json'].parent.mkdir(parents=True, exist_ok=True)
    plot(found, files['png'])
    about = environment()
    page = INTRODUCTION.format(
        scale=args.scale, finished=len(results), size=SCALES[args.scale], claims=claims(args.scale, found),
        plot=f'{FOLDER}/{files["png"].name}', json=f'{FOLDER}/{files["json"].name}', date=datetime.date.today(),
        about=listed(about))
    cost = lru_cache(operations)
    for part, question in QUESTIONS.items():
        page += f'\n## {question.title}\n\n'
        if part not in found:
            page += f'{NOT_RUN.capitalize()}: `python benchmarks/accuracy.py run --scale {args.scale} --part {part}`\n'
            continue
        if question.equal_time:
            page += FASTER.format(speed=speed)
        page += table(found[part], lambda run: cost(run.scale, run.variant)) + '\n'
    page += conclusions(args.out)
    args.out.write_text(page)
    write_record(files['json'], args.scale, results)
    print(page)
