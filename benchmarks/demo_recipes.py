#!/usr/bin/env python3
"""Measure which network and batches the demo should train in its minutes.

    python benchmarks/demo_recipes.py [--only WORD] [--out docs/demo_recipes]

Every recipe takes about as long as the others on two quiet cores, and differs from the demo's config in nothing else.
The people are drawn from another seed than the demo's, so that no choice is made by the people on whom the demo is
measured. An interrupted call continues where it stopped; to measure again, delete the JSON file. It takes about an hour
on two quiet cores.
"""
import argparse
import statistics
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from mmengine.runner import Runner
from pages import listed
from places import CONFIGS, ROOT
from short_trainings import FOLDER, Results

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.demo import train_in_bf16
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.files import write_atomically

CONFIG = ROOT / CONFIGS / 'td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
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
    """Train by a recipe in this process, and return AP and the mean score of keypoints on held-out people."""
    people = FOLDER / 'demo_people'
    generate(people, seed=PEOPLE_SEED, progress=False)
    warm_up = round(WARM_UP * recipe.iterations)
    cfg = load_config(str(CONFIG), {
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


def line(found: List[Optional[dict]], stages: int, batch_size: int, iterations: int) -> str:
    """A row of the table: AP of each seed that is measured, and their mean."""
    values = [one['AP'] for one in found if one]
    said = [', '.join(f'{value:.3f}' for value in values), f'{statistics.mean(values):.3f}'] if values else ['', '']
    return f'| {" | ".join([str(stages), str(batch_size), f"{iterations:,}", *said])} |'


def page(results: Results) -> str:
    rows = [line([results.known(Recipe(seed, *recipe)) for seed in SEEDS], *recipe) for recipe in RECIPES]
    return f"""# Recipes for the demo

{listed(results.content['about'])}

`python benchmarks/demo_recipes.py` trains the demo's network with one and two stages, in batches of 16 and of half as
many. The iterations are those that take the same time on two quiet cores. The people are of another seed than the
demo's.

| stages | batch | iterations | AP of each seed | mean |
| --- | --- | --- | --- | --- |
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
