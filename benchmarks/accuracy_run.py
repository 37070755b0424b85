"""One training of benchmarks/accuracy.py: its config, its start, and what the trained network is worth."""
import copy
import hashlib
import json
import math
import statistics
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Optional

import accuracy_crops  # noqa: F401  registers CroppedPeople
import numpy as np
import torch
from accuracy_measure import CELL, measure, mmpose_codec
from accuracy_plan import MMPOSE, OFFICIAL, SCALES, VARIANTS, Run, Scale
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from torch.utils.data import DataLoader

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.options import use_amp, use_fast_training
from mmpose_mspn.checkpoints import convert
from mmpose_mspn.engine.work_dir import choose_start
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.files import write_json

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / 'tools'))
DEMO = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
PEOPLE_SEED = 1
"""Other people than the demo's, so that no choice is made by the people on whom the demo is measured."""
IMAGES_PER_PERSON = 0.6
"""Enough: an image holds two people on average."""
WARM_UP = 0.06
"""Share of the training in which the learning rate rises."""
CHECKPOINTS = 4
"""In a training; an interrupted one loses at most what follows the last of them."""
RESULT = 'result.json'
SPEED_TURNS, SPEED_ITERATIONS = 3, 30


@TRANSFORMS.register_module()
class LabeledOrNot(BaseTransform):
    """Makes visibility 0/1 of 0/1/2, which is what mmpose's datasets give its codecs."""

    def transform(self, results: dict) -> dict:
        return dict(results, keypoints_visible=np.minimum(results['keypoints_visible'], 1))


def make_people(folder: Path, name: str, workers: Optional[int] = None) -> None:
    """Draw the people to train on and the held-out ones and cut their crops, unless they are there.

    Args:
        folder: Of the people.
        name: Key of :data:`accuracy_plan.SCALES`.
        workers: Processes that draw.
    """
    scale = SCALES[name]
    generate(folder, math.ceil(IMAGES_PER_PERSON * max(scale.people)), scale.val_images, PEOPLE_SEED, workers)
    cfg = build_config(Run(name, OFFICIAL, 1, 1, 1), folder, folder)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        DATASETS.build(loader.dataset)


def build_config(run: Run, data: Path, work: Path) -> Config:
    """The config of a run.

    Args:
        run: The run.
        data: Folder of the people.
        work: Folder of all runs.
    """
    scale, variant = SCALES[run.scale], VARIANTS[run.variant]
    heatmap_size = tuple(side // CELL for side in scale.input_size)
    codec = dict(input_size=scale.input_size, heatmap_size=heatmap_size, kernel_sizes=scale.kernel_sizes)
    cfg = copy.deepcopy(_demo(f'{data}/'))
    channels = _channels(scale.channels, variant.operations)
    model = dict(
        backbone=dict(num_stages=run.stages, unit_channels=2 * channels,
                      encoder=dict(stem_channels=channels, base_channels=channels)),
        head=dict(num_stages=run.stages, unit_channels=2 * channels, decoder=codec))
    cfg.merge_from_dict(dict(model=model))
    changes = copy.deepcopy(variant.model)
    if changes.get('head', {}).get('decoder', {}).get('kernel_sizes') == -1:
        changes['head']['decoder']['kernel_sizes'] = scale.kernel_sizes[-1:] * len(scale.kernel_sizes)
    cfg.merge_from_dict(dict(model=changes))
    codec = cfg.model.head.decoder.to_dict()
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        for step in loader.dataset.pipeline:
            if step.type == 'TopdownAffine':
                step.input_size = scale.input_size
            elif step.type == 'GenerateTarget':
                step.encoder = codec
    cfg.train_dataloader.batch_size = scale.batch_size
    if variant.rule == MMPOSE:
        _use_mmposes_rule(cfg)
    _use_crops(cfg.train_dataloader, indices=max(scale.people)).people = run.people
    _use_crops(cfg.test_dataloader)
    _schedule(cfg, run, scale)
    cfg.work_dir, cfg.launcher = str(work / run.name), 'none'
    if variant.fast:
        use_amp(cfg)
        use_fast_training(cfg)
    return cfg


@lru_cache
def _demo(data_root: str) -> Config:
    """The demo's config, read once."""
    return load_config(str(DEMO), data_root=data_root)


def _use_crops(loader: dict, **changes: object) -> dict:
    """Let a loader read crops that are cut once, and return the config of its dataset."""
    source = loader.dataset.to_dict()
    pipeline = source.pop('pipeline')
    loader.dataset = dict(type='CroppedPeople', source={**source, **changes}, pipeline=pipeline)
    return loader.dataset


def _channels(channels: int, operations: float) -> int:
    """An even number; operations rise by the square of the channels."""
    return 2 * round(channels * math.sqrt(operations) / 2)


def _use_mmposes_rule(cfg: Config) -> None:
    """mmpose's targets, masks, losses and decode, as its config of this network has them."""
    stages, head = cfg.model.head.num_stages, cfg.model.head
    codecs = [mmpose_codec(head.decoder, size) for size in head.decoder.kernel_sizes]
    coarse = dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)
    fine = dict(type='KeypointOHKMMSELoss', use_target_weight=True, loss_weight=1.)
    columns, rows = head.decoder.heatmap_size
    cfg.model = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(cfg.model.data_preprocessor, type='PoseDataPreprocessor'),
        backbone=cfg.model.backbone,
        head=dict(type='MSPNHead', out_shape=(rows, columns), unit_channels=head.unit_channels,
                  out_channels=head.out_channels, num_stages=stages, num_units=4,
                  level_indices=[0, 1, 2, 3] * (stages - 1) + [1, 2, 3, 4],
                  loss=[coarse, coarse, coarse, fine] * stages, decoder=codecs[-1], init_cfg=head.init_cfg),
        test_cfg=cfg.model.test_cfg)
    loader = cfg.train_dataloader
    loader.collate_fn = dict(type='pseudo_collate')
    place = next(index for index, step in enumerate(loader.dataset.pipeline) if step.type == 'GenerateTarget')
    loader.dataset.pipeline[place] = dict(type='GenerateTarget', multilevel=True, encoder=codecs)
    loader.dataset.pipeline.insert(place, dict(type='LabeledOrNot'))


def _schedule(cfg: Config, run: Run, scale: Scale) -> None:
    warm_up = max(1, round(WARM_UP * run.iterations))
    cfg.train_cfg = dict(by_epoch=False, max_iters=run.iterations)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.optim_wrapper.optimizer.lr = scale.learning_rate
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up + 1, by_epoch=False),
        dict(type='CosineAnnealingLR', eta_min=0, begin=warm_up, end=run.iterations + 1, by_epoch=False)]
    cfg.default_hooks.checkpoint.update(interval=-(-run.iterations // CHECKPOINTS), max_keep_ckpts=1, save_best=None)
    cfg.default_hooks.logger.interval = 50
    cfg.randomness = dict(seed=run.seed)


def fingerprint(cfg: Config) -> str:
    """Of a config, without its folders."""
    content = {name: value for name, value in cfg.to_dict().items() if name not in ('work_dir', 'load_from', 'resume')}
    said = json.dumps(content, sort_keys=True, default=str).replace(cfg.data_root, '')
    return hashlib.sha256(said.encode()).hexdigest()[:16]


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
    """Train, or go on with an interrupted training, and write the result beside its checkpoints.

    Returns:
        ``run``, ``config`` (its fingerprint), ``seconds`` that the training computed (``None`` if it was interrupted),
        ``threads`` and ``measured``: by whose decode, ``AP``, ``AP50``, ``AP75`` and ``px``, the mean error
        of visible keypoints in px of the image.
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
