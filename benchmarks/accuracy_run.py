"""One training of benchmarks/accuracy.py: its config, its start, and what the trained network is worth."""
import copy
import hashlib
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
from accuracy_plan import MMPOSE, OFFICIAL, RULES, SCALES, VARIANTS, Run, Scale
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS
from torch import nn
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
IMAGES_PER_PERSON = 0.6
"""Enough: an image holds two people on average."""
CELL = 2
"""px of the crop."""
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


def make_people(folder: Path, scale: Scale, workers: Optional[int] = None) -> None:
    """Draw the people to train on and the held-out ones, unless they are there."""
    generate(folder, math.ceil(IMAGES_PER_PERSON * max(scale.people)), scale.val_images, workers=workers)


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
    cfg = load_config(str(DEMO), data_root=f'{data}/')
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
    cfg.train_dataloader.dataset.indices = run.people
    if variant.rule == MMPOSE:
        _use_mmposes_rule(cfg)
    _schedule(cfg, run, scale)
    cfg.work_dir, cfg.launcher = str(work / run.name), 'none'
    if variant.fast:
        use_amp(cfg)
        use_fast_training(cfg)
    return cfg


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


def mmpose_codec(codec: dict, kernel_size: int) -> dict:
    """mmpose's codec of the same sizes."""
    return dict(type='MegviiHeatmap', input_size=tuple(codec['input_size']), heatmap_size=tuple(codec['heatmap_size']),
                kernel_size=kernel_size)


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
        ``run``, ``config`` (its fingerprint), ``seconds`` of the training (``None`` if it was interrupted), ``losses``
        (the last logged ones) and ``measured``: by whose decode, ``AP``, ``AP50``, ``AP75`` and ``px``, the mean error
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
    begin = time.perf_counter()
    runner.train()
    seconds = None if resumed else round(time.perf_counter() - begin, 1)
    measured = {rule: measure(runner.model.eval(), cfg, rule, SCALES[run.scale]) for rule in RULES}
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


def measure(model: nn.Module, cfg: Config, rule: str, scale: Scale) -> Dict[str, float]:
    """AP and px of a trained network, by one rule's decode."""
    codec = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=scale.input_size,
                 heatmap_size=tuple(side // CELL for side in scale.input_size), kernel_sizes=scale.kernel_sizes)
    if rule == MMPOSE:
        codec = mmpose_codec(codec, scale.kernel_sizes[-1])
    own, model.head.decoder = model.head.decoder, KEYPOINT_CODECS.build(codec)
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    annotations = Path(cfg.data_root) / cfg.test_dataloader.dataset.ann_file
    metric = METRICS.build(dict(cfg.test_evaluator, ann_file=str(annotations)))
    metric.dataset_meta = loader.dataset.metainfo
    truth = {person['id']: np.array(person['keypoints'], float).reshape(-1, 3)
             for person in metric.coco.dataset['annotations']}
    errors = []
    with torch.no_grad():
        for batch in loader:
            samples = model.test_step(batch)
            metric.process({}, [sample.to_dict() for sample in samples])
            errors += [visible_errors(sample.pred_instances.keypoints[0], truth[sample.metainfo['id']])
                       for sample in samples]
    model.head.decoder = own
    found = metric.evaluate(len(loader.dataset))
    values = {name.split('/')[-1]: value for name, value in found.items()}
    return dict(AP=float(values['AP']), AP50=float(values['AP .5']), AP75=float(values['AP .75']),
                px=float(np.concatenate(errors).mean()))


def visible_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances in px of predicted keypoints (K, 2) from the visible ones (2) of ``truth`` (K, 3)."""
    return np.linalg.norm(points - truth[:, :2], axis=1)[truth[:, 2] == 2]


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
    make_people(data, SCALES[scale])
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


def run_in_this_process(name: str, data: Path, work: Path) -> None:
    """Run the run of this name, on one thread."""
    os.environ.setdefault('LOCAL_RANK', '0')
    torch.set_num_threads(1)
    train_and_measure(Run.named(name), data, work)
