"""Short trainings on drawn robots with configs that tools/new_dataset.py writes, each in a process of its own.

Results go into a JSON file after every training. A training that the file holds, with the same settings, is not run
again, so an interrupted benchmark continues where it stopped.
"""
import hashlib
import json
import multiprocessing
import os
import platform
import re
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmpose_mspn  # applies compatibility fixes
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.new_dataset import Options, create
from mmpose_mspn.new_dataset.config_file import COLOR_STEP
from mmpose_mspn.new_dataset.plan import NETWORKS, SCHEDULES, Network
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.synthetic_people.robots import EIGHT, FOUR, write_robots
from mmpose_mspn.utils.files import write_json

FOLDER = Path('work_dirs/short_trainings')
IMAGES, HELD_OUT, SEED = 200, 150, 1  # the demo's people are of seed 0, so a model of them has seen none of these
KEYPOINTS = {4: FOUR, 8: EIGHT}
TINY = Network(
    dict(num_stages=1, encoder=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16), unit_channels=32),
    {'1:2': (32, 64)}, 2, 16, 1e-2, SCHEDULES, '1 stage, ResNet-18 of 16 channels')
"""Small enough for dozens of trainings."""


class Named(Protocol):
    """Settings of a training."""

    def named(self) -> str:
        """The settings as a key of the file of results."""

    def folder(self) -> str:
        """The name of a folder for the training."""


class Training(NamedTuple):
    """Settings of a training. ``None`` keeps what the written config says.

    Attributes:
        seed: Seed of weights and draws.
        keypoints: Key of :data:`KEYPOINTS`.
        images: Number of annotated images to train on.
        network: ``'tiny'``, or one of :data:`mmpose_mspn.new_dataset.plan.NETWORKS`.
        renamed: Whether the keypoints have names that no checkpoint has.
        weights: Checkpoint to start from.
        colors: Whether training varies colors, as the written config does.
        first: Start of the weight of each predictor's first norm.
        last: Likewise of its last norm, on which the height of the heatmaps depends.
        options: Changes of the written config, as with ``--cfg-options``.
        lines: Variables whose values are changed in the file of the config, such as ``('max_iters', 2000)``.
    """
    seed: int
    keypoints: int
    images: int
    network: str = 'small'
    renamed: bool = False
    weights: Optional[str] = None
    colors: bool = True
    first: Optional[float] = None
    last: Optional[float] = None
    options: Tuple[Tuple[str, object], ...] = ()
    lines: Tuple[Tuple[str, object], ...] = ()

    def named(self) -> str:
        """The settings as a key of the file of results."""
        return json.dumps(self._replace(weights=Path(self.weights).name if self.weights else None))

    def folder(self) -> str:
        """The name of a folder for the training."""
        return hashlib.sha1(self.named().encode()).hexdigest()[:10]


class _Norms(Hook):
    """Sets the start of the predictors' norms."""

    def __init__(self, first: float, last: float) -> None:
        self.starts = (first, last)

    def before_train(self, runner: Runner) -> None:
        for unit in (unit for stage in runner.model.head.predictors for unit in stage):
            for layer, start in zip(unit, self.starts):
                torch.nn.init.constant_(layer.bn.weight, start)


class _Recorder(Hook):
    """Keeps PCK, AP and the mean score of keypoints of every validation, and the seconds since it was made."""

    def __init__(self) -> None:
        self.found: List[dict] = []
        self.scores: List[float] = []
        self.start = time.perf_counter()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=()) -> None:
        self.scores += [float(sample.pred_instances.keypoint_scores.mean()) for sample in outputs]

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        self.found.append(dict(
            iteration=runner.iter, PCK=round(float(metrics['PCK']), 4), AP=round(float(metrics['coco/AP']), 4),
            score=round(statistics.mean(self.scores), 4), seconds=round(time.perf_counter() - self.start, 1)))
        self.scores = []


def make_people() -> Path:
    """The drawn people of all trainings, made at the first call."""
    folder = FOLDER / 'people'
    generate(folder, train=IMAGES, val=HELD_OUT, seed=SEED, progress=False)
    return folder


def change_lines(config: Path, lines: Tuple[Tuple[str, object], ...]) -> None:
    """Give variables of a config other values, each in its line of the file."""
    text = config.read_text()
    for name, value in lines:
        text, found = re.subn(rf'^{name} = .*?(?=  #|$)', f'{name} = {value!r}', text, flags=re.M)
        if found != 1:
            raise ValueError(f'{config} has {found} lines that set {name}, not one')
    config.write_text(text)


def train(training: Training) -> dict:
    """Run a training in this process.

    Returns:
        ``validations`` on held-out images: iteration, PCK, AP and seconds since the start; and ``iterations``.
    """
    NETWORKS['tiny'] = TINY
    people = make_people()
    out = FOLDER / training.folder()
    names = KEYPOINTS[training.keypoints]
    renamed = {name: f'{name}_tip' for name in names} if training.renamed else None
    for split, images in (('train', training.images), ('val', HELD_OUT)):
        write_robots(people / f'annotations/person_keypoints_{split}2017.json', out / f'{split}-robots.json', names,
                     images, renamed)
    dataset = create(Options(
        out / 'train-robots.json', people / 'train2017', out, val=out / 'val-robots.json',
        val_images=people / 'val2017', init_from=training.weights,
        network=None if training.weights else training.network, force=True))
    change_lines(dataset.config, training.lines)
    cfg = load_config(str(dataset.config), dict(training.options))
    if not training.colors:
        dataset_cfg = cfg.train_dataloader.dataset
        dataset_cfg.pipeline = [step for step in dataset_cfg.pipeline if step.type != COLOR_STEP]
    cfg.randomness = dict(seed=training.seed)
    cfg.default_hooks.checkpoint.update(interval=10**9, save_best=None, rule=None)
    recorder = _Recorder()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(recorder)
    if training.last is not None:
        runner.register_hook(_Norms(training.first, training.last))
    runner.train()
    return dict(validations=recorder.found, iterations=runner.max_iters)


class Results:
    """The results of trainings, in a JSON file.

    Args:
        path: The file.
        run: Runs a training, in a process of its own, and returns its result.
    """

    def __init__(self, path: Path, run: Callable[[Named], dict] = train) -> None:
        self.path, self.run = path, run
        self.content = json.loads(path.read_text()) if path.exists() else dict(about=about(), trainings={})

    def known(self, training: Named) -> Optional[dict]:
        """What the file holds of a training."""
        return self.content['trainings'].get(training.named())

    def obtain(self, training: Named) -> dict:
        """The result of a training, from the file or from a process that trains now."""
        key = training.named()
        if key not in self.content['trainings']:
            print(f'training {key}', flush=True)
            with ProcessPoolExecutor(1, mp_context=_processes()) as pool:
                self.content['trainings'][key] = pool.submit(_train_quietly, self.run, training).result()
            write_json(self.path, self.content, indent=1)
        return self.content['trainings'][key]


def about() -> dict:
    """Versions, threads and date of a measurement."""
    import mmpose
    return dict(date=time.strftime('%Y-%m-%d'), python=platform.python_version(), torch=torch.__version__,
                mmpose=mmpose.__version__, mmpose_mspn=mmpose_mspn.__version__, threads=torch.get_num_threads())


def _processes() -> multiprocessing.context.BaseContext:
    """Processes that start with everything imported."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    return context


def _train_quietly(run: Callable[[Named], dict], training: Named) -> dict:
    """The result of a training, whose output goes to a file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f'{training.folder()}.log', 'w') as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    return run(training)
