#!/usr/bin/env python3
"""Measure from which weight of the predictors' norms a short training gets furthest.

    python benchmarks/start_of_norms.py [--out docs/start_of_norms]

Targets have a maximum of 255. At first the last norm's weight is the spread of a heatmap, and Adam moves it by no more
than the learning rate in a step. Each start is trained with the same seeds, at the learning rate of the small network
and at that of the larger ones. An interrupted call continues where it stopped.
"""
import argparse
import statistics
from itertools import product
from pathlib import Path
from typing import Tuple

import torch
from pages import listed
from short_trainings import TINY, Results, Training

from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.new_dataset.config_file import NORM_WEIGHT
from mmpose_mspn.new_dataset.plan import NETWORKS, make_plan
from mmpose_mspn.utils.files import write_atomically

LAST = (1., 5., 10., 20., 50.)
RATES = (1e-2, 1e-3)
SEEDS = (0, 1, 2)
ITERATIONS = 200


def training(seed: int, rate: float, first: float, last: float) -> Training:
    """A training of a start."""
    schedule = (('train_cfg.max_iters', ITERATIONS), ('train_cfg.val_interval', ITERATIONS),
                ('optim_wrapper.optimizer.lr', rate),
                ('param_scheduler.0.end', 20), ('param_scheduler.1.begin', 19),
                ('param_scheduler.1.end', ITERATIONS + 1), ('train_dataloader.num_workers', 0),
                ('train_dataloader.persistent_workers', False), ('val_dataloader.num_workers', 0),
                ('val_dataloader.persistent_workers', False))
    return Training(seed, 8, 200, 'tiny', colors=False, first=first, last=last, options=schedule)


STARTS: Tuple[Tuple[float, float], ...] = (*((last, last) for last in LAST), (1., 20.))
"""(first, last) norms of each predictor."""


def cell(results: Results, rate: float, first: float, last: float) -> str:
    """Mean and range of the PCK of the seeds that are measured, their mean AP and mean score."""
    found = list(filter(None, (results.known(training(seed, rate, first, last)) for seed in SEEDS)))
    if not found:
        return ''
    pck, ap, score = ([one['validations'][-1][key] for one in found] for key in ('PCK', 'AP', 'score'))
    return (f'{statistics.mean(pck):.3f} ({min(pck):.3f}-{max(pck):.3f} of {len(pck)}), '
            f'{statistics.mean(ap):.3f}, **{statistics.mean(score):.2f}**')


def spread_of_targets(network: str) -> str:
    """The smallest and the largest standard deviation over a map, of all kernel sizes and shapes of crops."""
    spreads = []
    for aspect in NETWORKS[network].crops:
        plan = make_plan(1, 1, aspect, network)
        codec = CoarseToFineHeatmap(plan.input_size, plan.heatmap_size, plan.kernel_sizes)
        middle = torch.tensor([[plan.input_size]]) / 2
        spreads += codec.render(middle, torch.full((1, 1), 2.))[0].flatten(1).std(1).tolist()
    return f'{min(spreads):.0f} to {max(spreads):.0f}'


def page(results: Results) -> str:
    rows = ['| first norms | last norms | ' + ' | '.join(f'learning rate {rate:g}' for rate in RATES) + ' |',
            '| --- | --- |' + ' --- |' * len(RATES),
            *(f'| {first:g} | {last:g} | ' + ' | '.join(cell(results, rate, first, last) for rate in RATES) + ' |'
              for first, last in STARTS)]
    spreads = ', '.join(f'{spread_of_targets(name)} ({what})' for name, what in (
        ('tiny', 'here'), ('small', 'the small network'), ('medium', 'the larger ones')))
    return f"""# Start of the norms in short trainings

{listed(results.content['about'])}

`python benchmarks/start_of_norms.py` trains a network of {TINY.described} for {ITERATIONS} iterations on 200
images of robots with 8 keypoints. The columns are the learning rates of the small network and of the larger ones. Each
cell is the PCK@0.1 on 150 held-out images (mean and range over seeds), their COCO AP, and in bold the mean score of all
keypoints, from 0.5 without a response to 1.5 at a full peak; tools/infer.py draws keypoints from 0.7 on.

{chr(10).join(rows)}

The weight of a predictor's last norm is the spread of its heatmaps at first. The spread of the targets in a map, over
all kernel sizes and shapes of crops, is {spreads}.
Configs of tools/new_dataset.py start all norms of the predictors at {NORM_WEIGHT:g}; the official schedule, which has
96,000 iterations to get there, starts them at 1.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='docs/start_of_norms', help='path of the page and the JSON without suffix')
    out = Path(parser.parse_args().out)
    results = Results(out.with_suffix('.json'))
    NETWORKS['tiny'] = TINY
    for seed, (first, last), rate in product(SEEDS, STARTS, RATES):
        results.obtain(training(seed, rate, first, last))
        write_atomically(out.with_suffix('.md'), page(results).encode())
    print(page(results))


if __name__ == '__main__':
    main()
