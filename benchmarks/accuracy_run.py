"""One training of benchmarks/accuracy.py: its people, its start, and what the trained network is worth."""
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

import torch
from accuracy_config import build_config, fingerprint
from accuracy_measure import measure
from accuracy_plan import Run
from accuracy_variants import MMPOSE, OFFICIAL, SCALES, VARIANTS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from places import ROOT
from torch.utils.data import DataLoader

from mmpose_mspn.checkpoints import convert
from mmpose_mspn.engine.work_dir import choose_start
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.files import write_json

sys.path.append(str(ROOT / 'tools'))
PEOPLE_SEED = 1
"""Other people than the demo's, so that no choice is made by the people on whom the demo is measured."""
IMAGES_PER_PERSON = 0.6
"""Enough: an image holds two people on average."""
RESULT = 'result.json'
SPEED_TURNS, SPEED_ITERATIONS = 3, 30


def make_people(folder: Path, name: str, workers: Optional[int] = None) -> None:
    """Draw the people to train on and the held-out ones and cut their crops, unless they are there.

    Args:
        folder: Of the people.
        name: Key of :data:`accuracy_variants.SCALES`.
        workers: Processes that draw.
    """
    scale = SCALES[name]
    generate(folder, math.ceil(IMAGES_PER_PERSON * max(scale.people)), scale.val_images, PEOPLE_SEED, workers)
    cfg = build_config(Run(name, OFFICIAL, 1, 1, 1), folder, folder)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        DATASETS.build(loader.dataset)


def start_weights(run: Run, data: Path, work: Path) -> dict:
    """The state dict of a run's network before training: by the seed, and the same under both rules."""
    rule = VARIANTS[run.variant].rule
    official = build_config(Run(run.scale, OFFICIAL, run.people, run.iterations, run.seed) if rule == MMPOSE else run,
                            data, work)
    torch.manual_seed(run.seed)
    model = MODELS.build(official.model)
    model.init_weights()
    state = model.state_dict()
    if rule == OFFICIAL:
        return state
    heads = {name: value for name, value in convert(state, to='mmpose').items() if name.startswith('head.')}
    return {**{name: value for name, value in state.items() if name.startswith('backbone.')}, **heads}


def train_and_measure(run: Run, data: Path, work: Path) -> dict:
    """Train, or resume an interrupted training, and write the result beside its checkpoints.

    Returns:
        ``run``, ``config`` (its fingerprint), ``seconds`` that the training computed (``None`` if it was interrupted),
        ``threads`` and ``measured``, the result of :func:`accuracy_measure.measure`.
    """
    init_default_scope('mmpose')
    cfg = build_config(run, data, work)
    stamp = fingerprint(cfg)
    folder = Path(cfg.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    start = folder / 'start.pth'
    if not start.exists():
        torch.save(dict(state_dict=start_weights(run, data, work), meta={}), start)
    cfg.load_from = str(start)
    choose_start(cfg, 'auto')
    resumed = bool(cfg.resume)
    runner = Runner.from_cfg(cfg)
    check_number_of_people(runner.train_dataloader, run)
    begin = time.process_time()
    runner.train()
    seconds = None if resumed else round(time.process_time() - begin, 1)
    measured = measure(runner.model.eval(), cfg, SCALES[run.scale])
    result = dict(run=run.name, config=stamp, seconds=seconds, threads=torch.get_num_threads(), measured=measured)
    write_json(folder / RESULT, result)
    for file in (*folder.glob('*.pth'), folder / 'last_checkpoint'):
        file.unlink(missing_ok=True)
    return result


def check_number_of_people(loader: DataLoader, run: Run) -> None:
    """Refuse to train on fewer people than the run says."""
    if len(loader.dataset) != run.people:
        raise ValueError(f'{run.name} needs {run.people} people to train on, the data hold {len(loader.dataset)}: '
                         'delete the folder of the data')


def operations(scale: str, variant: str) -> float:
    """Million multiply-adds of a variant's network for a crop, which both rules share."""
    from model_costs import measure as cost
    name = OFFICIAL if VARIANTS[variant].rule == MMPOSE else variant
    model = build_config(Run(scale, name, 1, 1, 1), ROOT, ROOT).model
    return cost(model.to_dict(), SCALES[scale].input_size)[1] / 1e6


def measure_speed(scale: str, data: Path, file: Path) -> dict:
    """Time an iteration of the sides of the question at equal time, in turns, and write it to a file.

    Returns:
        ``milliseconds`` of an iteration by variant, and ``ratio``: how many iterations the fast side does while the
        other does one.
    """
    init_default_scope('mmpose')
    torch.set_num_threads(1)
    make_people(data, scale)
    taken: Dict[str, List[float]] = {'mmpose': [], 'fast': []}
    # One folder for all: the visualizer of the first runner stays in use.
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(SPEED_TURNS):
            for variant, seconds in taken.items():
                run = Run(scale, variant, SCALES[scale].people[0], SPEED_ITERATIONS, turn)
                runner = Runner.from_cfg(build_config(run, data, Path(folder)))
                runner.train()
                times, _ = runner.message_hub.get_scalar('train/time').data
                # The first half warms up.
                seconds.append(statistics.median(times[-(SPEED_ITERATIONS // 2):]))
    medians = {variant: 1000 * statistics.median(seconds) for variant, seconds in taken.items()}
    found = dict(milliseconds=medians, ratio=medians['mmpose'] / medians['fast'])
    write_json(file, found)
    return found
