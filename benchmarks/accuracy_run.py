"""One training of benchmarks/accuracy.py: its people, its start, and what the trained network is worth."""
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
from accuracy_config import CELL, build_config, fingerprint, mmpose_codec
from accuracy_plan import DECODES, MMPOSE, OFFICIAL, SCALES, VARIANTS, Run, Scale
from common import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, KEYPOINT_CODECS, METRICS, MODELS
from torch import nn
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


def measure(model: nn.Module, cfg: Config, scale: Scale) -> Dict[str, Dict[str, float]]:
    """What a trained network is worth, by each decode of the same heatmaps.

    Returns:
        By key of :data:`accuracy_variants.DECODES`,
        ``AP``, ``AP50``, ``AP75`` and ``px``, the mean error of visible keypoints in px of the image.
    """
    sizes = dict(input_size=scale.input_size, heatmap_size=tuple(side // CELL for side in scale.input_size),
                 kernel_sizes=scale.kernel_sizes)
    # Both blur by the finest kernel, as they do at the official sizes.
    blur = scale.kernel_sizes[-1]
    decoders = {
        OFFICIAL: KEYPOINT_CODECS.build(dict(sizes, type='mmpose_mspn.CoarseToFineHeatmap', blur_kernel_size=blur)),
        MMPOSE: KEYPOINT_CODECS.build(mmpose_codec(sizes, blur))}
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    meters = {name: _Meter(cfg, loader.dataset.metainfo) for name in DECODES}
    own, model.head.decoder = model.head.decoder, None
    model.test_cfg['output_heatmaps'] = True
    with torch.no_grad():
        for batch in loader:
            found: Dict[str, List[dict]] = {}
            for rule, decoder in decoders.items():
                model.head.decoder = decoder
                if rule == OFFICIAL:  # the first; the other decodes the same maps
                    samples = model.test_step(batch)
                    maps = torch.stack([sample.pred_fields.heatmaps for sample in samples])
                else:
                    samples = model.add_pred_to_datasample(model.head.decode(maps), None, samples)
                found[rule] = [sample.to_dict() for sample in samples]
            for name, (positions, scores) in DECODES.items():
                meters[name].add(with_scores(found[positions], found[scores]))
    model.head.decoder = own
    return {name: meter.found() for name, meter in meters.items()}


def with_scores(predictions: List[dict], others: List[dict]) -> List[dict]:
    """Predictions of people with the scores that others have for the same people."""
    return [dict(one, pred_instances=dict(one['pred_instances'],
                                          keypoint_scores=other['pred_instances']['keypoint_scores']))
            for one, other in zip(predictions, others)]


class _Meter:
    """Collects predictions, and computes AP and the mean error of visible keypoints.

    Args:
        cfg: Config with the metric.
        metainfo: Of the dataset.
    """

    def __init__(self, cfg: Config, metainfo: dict) -> None:
        annotations = Path(cfg.data_root) / cfg.test_dataloader.dataset.source.ann_file
        self.metric = METRICS.build(dict(cfg.test_evaluator, ann_file=str(annotations)))
        self.metric.dataset_meta = dict(metainfo)
        self.truth = {person['id']: np.array(person['keypoints'], float).reshape(-1, 3)
                      for person in self.metric.coco.dataset['annotations']}
        self.errors: List[np.ndarray] = []

    def add(self, predictions: List[dict]) -> None:
        self.metric.process({}, predictions)
        self.errors += [visible_errors(one['pred_instances']['keypoints'][0], self.truth[one['id']])
                        for one in predictions]

    def found(self) -> Dict[str, float]:
        metrics = self.metric.evaluate(len(self.errors))
        values = {name.split('/')[-1]: float(value) for name, value in metrics.items()}
        return dict(AP=values['AP'], AP50=values['AP .5'], AP75=values['AP .75'],
                    px=float(np.concatenate(self.errors).mean()))


def visible_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances in px of predicted keypoints (K, 2) from the visible ones (2) of ``truth`` (K, 3)."""
    return np.linalg.norm(points - truth[:, :2], axis=1)[truth[:, 2] == 2]
