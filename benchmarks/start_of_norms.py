#!/usr/bin/env python3
"""Measure from which weight of the predictors' norms a short training gets furthest.

    python benchmarks/start_of_norms.py [--out docs/start_of_norms]

Targets have a maximum of 255. At first the last norm's weight is the spread of a heatmap, and Adam moves it by no more
than the learning rate in a step. Each start is trained with the same seeds, at the learning rate of the small network
and at that of the larger ones. An interrupted call goes on where it was.
"""
import argparse
import statistics
from itertools import product
from pathlib import Path
from typing import Dict, List, Tuple

from short_trainings import Results, Training

LAST = (1., 5., 10., 20., 50.)
RATES = (1e-2, 1e-3)
SEEDS = (0, 1, 2)
ITERATIONS = 200


def training(seed: int, rate: float, first: float, last: float) -> Training:
    """A training of a start."""
    schedule = (('max_iters', ITERATIONS), ('lr', rate), ('train_cfg.max_iters', ITERATIONS),
                ('train_cfg.val_interval', ITERATIONS), ('optim_wrapper.optimizer.lr', rate),
                ('param_scheduler.0.end', 20), ('param_scheduler.1.begin', 19),
                ('param_scheduler.1.end', ITERATIONS + 1), ('train_dataloader.num_workers', 0),
                ('train_dataloader.persistent_workers', False), ('val_dataloader.num_workers', 0),
                ('val_dataloader.persistent_workers', False))
    return Training(seed, 8, 200, 'tiny', first=first, last=last, options=schedule)


STARTS: Tuple[Tuple[float, float], ...] = (*((last, last) for last in LAST), (1., 20.))
"""(first, last) norms of each predictor."""


def cell(found: List[dict]) -> str:
    """Mean and range of the PCK of the seeds, and the mean score."""
    pck = [one['PCK'] for one in found]
    score = statistics.mean(one['score'] for one in found)
    return f'{statistics.mean(pck):.3f} ({min(pck):.3f}-{max(pck):.3f}), {score:.2f}'


def table(results: Results) -> List[str]:
    found: Dict[Tuple[float, float, float], List[dict]] = {}
    for seed, (first, last), rate in product(SEEDS, STARTS, RATES):
        last_validation = results.of(training(seed, rate, first, last))['validations'][-1]
        found.setdefault((first, last, rate), []).append(last_validation)
    rows = ['| first norms | last norms | ' + ' | '.join(f'learning rate {rate:g}' for rate in RATES) + ' |',
            '| --- | --- |' + ' --- |' * len(RATES)]
    return [*rows, *(f'| {first:g} | {last:g} | ' + ' | '.join(cell(found[first, last, rate]) for rate in RATES) + ' |'
                     for first, last in STARTS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='docs/start_of_norms', help='path of the table and the JSON without suffix')
    out = Path(parser.parse_args().out)
    results = Results(out.with_suffix('.json'))
    print('\n'.join(table(results)))


if __name__ == '__main__':
    main()
