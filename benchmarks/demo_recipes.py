#!/usr/bin/env python3
"""Measure which network and batches the demo should train in its minutes.

    python benchmarks/demo_recipes.py [--only WORD] [--out docs/demo_recipes]

Every recipe takes about as long as the others on two quiet cores, and changes nothing of the demo's config but stages,
batch size and iterations. The people are drawn from another seed than the demo's, so that no choice is made by the
people on whom the demo is measured. An interrupted call continues where it stopped; to measure again, delete the JSON
file. It takes about an hour on two quiet cores.
"""
import argparse
import statistics
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

from mmengine.runner import Runner
from pages import listed
from paired import Interval
from places import DEMO
from short_trainings import FOLDER, Results

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.demo import train_in_bf16
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.files import write_atomically

SEEDS = (0, 1, 2)
PEOPLE_SEED = 1
WARM_UP = 0.06
"""Share of the training in which the learning rate rises, as in the demo's config."""


class Recipe(NamedTuple):
    """A training of the demo.

    Attributes:
        seed: Of weights and draws.
        stages: Of the network.
        batch_size: People of an iteration.
        iterations: As many as take the time of the other recipes.
    """
    seed: int
    stages: int
    batch_size: int
    iterations: int

    def named(self) -> str:
        """The settings as a key of the file of results, and as a name of files."""
        return f'{self.stages}-stage batch{self.batch_size} iterations{self.iterations} seed{self.seed}'

    folder = named


RECIPES = ((2, 16, 1800), (1, 16, 3000), (2, 8, 2800), (1, 8, 5300))
"""Stages, batch size and iterations; an iteration took 187, 112, 117 and 63 ms."""


def train(recipe: Recipe) -> Dict[str, float]:
    """Train by a recipe in this process, and return the AP on held-out people."""
    people = FOLDER / 'demo_people'
    generate(people, seed=PEOPLE_SEED, progress=False)
    warm_up = round(WARM_UP * recipe.iterations)
    cfg = load_config(str(DEMO), {
        'model.backbone.num_stages': recipe.stages, 'model.head.num_stages': recipe.stages,
        'train_dataloader.batch_size': recipe.batch_size, 'train_cfg.max_iters': recipe.iterations,
        'param_scheduler.0.end': warm_up + 1, 'param_scheduler.1.begin': warm_up,
        'param_scheduler.1.end': recipe.iterations + 1, 'default_hooks.checkpoint.interval': 10**9,
        'randomness.seed': recipe.seed}, data_root=f'{people}/')
    cfg.work_dir = str(FOLDER / recipe.folder())
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    train_in_bf16(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return dict(AP=round(float(runner.test()['coco/AP']), 4))


def line(recipe: Tuple[int, int, int], found: Dict[int, float], reference: Dict[int, float]) -> str:
    """A row of the table: AP of each seed that is measured, their mean, and the difference from a reference's.

    Args:
        recipe: One of :data:`RECIPES`.
        found: Its AP by seed.
        reference: AP by seed of what it is compared with.
    """
    stages, batch_size, iterations = recipe
    each, mean = ', '.join(f'{ap:.3f}' for ap in found.values()), f'{statistics.mean(found.values()):.3f}'
    differences = [ap - reference[seed] for seed, ap in found.items() if seed in reference]
    compared = Interval.of(differences).said(3) if differences and found != reference else ''
    return f'| {stages} | {batch_size} | {iterations:,} | {each} | {mean} | {compared} |'


def page(results: Results) -> str:
    found = {recipe: {seed: known['AP'] for seed in SEEDS if (known := results.known(Recipe(seed, *recipe)))}
             for recipe in RECIPES}
    rows = [line(recipe, values, found[RECIPES[0]]) for recipe, values in found.items() if values]
    return f"""# Recipes for the demo

{listed(results.content['about'])}

`python benchmarks/demo_recipes.py` trains the demo's network with one and two stages, in batches of 16 and of half as
many. The iterations are those that take the same time on two quiet cores. The people are of another seed than the
demo's. Differences are from the first row, paired by seed, with their 95 % confidence intervals, bold where these leave
0 out.

| stages | batch | iterations | AP of each seed | mean | difference in AP |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default='', help='measure only trainings with this word in their names')
    parser.add_argument('--out', default='docs/demo_recipes', help='path of table and JSON without suffix')
    args = parser.parse_args()
    results = Results(Path(args.out).with_suffix('.json'), train)
    for seed in SEEDS:
        for recipe in RECIPES:
            training = Recipe(seed, *recipe)
            if args.only in training.named():
                results.obtain(training)
    text = page(results)
    write_atomically(Path(args.out).with_suffix('.md'), text.encode())
    print(text)


if __name__ == '__main__':
    main()
