"""What every stage and unit of the network predicts, in one pass over the data, as results files and as a table.

MSPN and CPN train a predictor at each unit, so a trained network answers what another stage brings.
"""
import os.path as osp
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmpose_mspn.models.backbones.mspn import MSPN
from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead, flip_test_mean
from mmpose_mspn.models.pose_estimators.test_time_augmentation import extract_views
from mmpose_mspn.utils.outputs import write_json_output, write_output

from .errors import diagnose
from .sources import KIND, Source
from .summary import error_counts, error_shares

# ---------------------------------------------------------------- the pass over the data

Predictor = Tuple[int, int]
"""A stage and a unit, from 0."""


@dataclass
class Pass:
    """Predictions of every predictor for the same people.

    Attributes:
        samples: Per person, what metrics read of a sample but its prediction.
        instances: Per predictor and person, ``keypoints`` (1, K, 2) in image px, ``keypoint_scores`` (1, K),
            ``bboxes`` and ``bbox_scores``.
        movement: Mean px of the input crop by which keypoints moved since the predictor before; the first has none.
        milliseconds: Per person, from the crop to this predictor's keypoints, as if no later stage or other predictor
            ran; ``None`` where the network is not MSPN. The median of the batches, the first left out where there are
            several.
        final: The predictor whose keypoints are the network's predictions.
    """
    samples: List[dict] = field(default_factory=list)
    instances: Dict[Predictor, List[dict]] = field(default_factory=dict)
    movement: Dict[Predictor, Optional[float]] = field(default_factory=dict)
    milliseconds: Dict[Predictor, Optional[float]] = field(default_factory=dict)
    final: Predictor = (0, 0)


def has_stages(model: nn.Module) -> bool:
    """Whether the model predicts heatmaps at several units."""
    return isinstance(getattr(model, 'head', None), BaseHeatmapHead)


@torch.no_grad()
def stage_heatmaps(model: nn.Module, inputs: Tensor, samples: list) -> List[List[Tensor]]:
    """Heatmaps [stage][unit] (B, K, H, W) of all predictors, averaged over the flip test where the model has one.

    Args:
        model: A top-down estimator with a head of :class:`BaseHeatmapHead`.
        inputs: (B, 3, h, w), normalized.
    """
    test_cfg = model.test_cfg or {}
    if not test_cfg.get('flip_test', False):
        return [list(units) for units in model.head(model.extract_feat(inputs))]
    crops, mirrored = (model.head(feats) for feats in extract_views(model, inputs, True))
    settings = dict(
        flip_indices=samples[0].metainfo['flip_indices'],
        flip_mode=test_cfg.get('flip_mode', 'heatmap'),
        shift_heatmap=test_cfg.get('shift_heatmap', False))
    return [[flip_test_mean(heatmaps, mirrored_heatmaps, **settings)
             for heatmaps, mirrored_heatmaps in zip(units, mirrored_units)]
            for units, mirrored_units in zip(crops, mirrored)]


@torch.no_grad()
def run_pass(model: nn.Module, loader: Iterable) -> Pass:
    """Predict with every predictor.

    A model without several predictors, and an ensemble, has one. All stages run, whatever ``stages`` of ``test_cfg``
    is; that decides whose keypoints are the network's. Shifts of ``test_cfg`` count for those only.

    Args:
        model: A top-down estimator in eval mode.
    """
    result, moved, seconds = Pass(), {}, {}
    clock = Clock(model)
    with clock:
        for batch in loader:
            data = model.data_preprocessor(batch, False)
            inputs, samples = data['inputs'], data['data_samples']
            if has_stages(model):
                predicted = _predict_all(model, inputs, samples, clock, moved, seconds)
            else:
                predicted = {(0, 0): _instances(model.predict(inputs, samples))}
            for predictor, instances in predicted.items():
                result.instances.setdefault(predictor, []).extend(instances)
            result.final = final_predictor(model, max(predicted))
            result.samples += [_light(sample) for sample in samples]
    for predictor in result.instances:
        result.movement[predictor] = float(np.mean(moved[predictor])) if predictor in moved else None
        timed = seconds.get(predictor, [])
        timed = timed[1:] if len(timed) > 1 else timed
        result.milliseconds[predictor] = 1000 * float(np.median(timed)) if timed else None
    return result


def _predict_all(model: nn.Module, inputs: Tensor, samples: list, clock: 'Clock', moved: Dict[Predictor, list],
                 seconds: Dict[Predictor, list]) -> Dict[Predictor, List[dict]]:
    """Instances of every predictor; ``moved`` and ``seconds`` take up what the batch tells."""
    clock.restart()
    heatmaps = stage_heatmaps(model, inputs, samples)
    predicted, before = {}, None
    final = final_predictor(model, (len(heatmaps) - 1, len(heatmaps[-1]) - 1))
    for stage, units in enumerate(heatmaps):
        for unit, maps in enumerate(units):
            start = clock.now()
            decoded = model.head.decode(maps)
            decode_time = clock.now() - start
            here = np.concatenate([instances.keypoints[..., :2] for instances in decoded]).copy()
            if before is not None:
                moved.setdefault((stage, unit), []).extend(np.linalg.norm(here - before, axis=-1).mean(1))
            before = here
            reached = clock.reached(stage, unit)
            if reached is not None:
                seconds.setdefault((stage, unit), []).append((reached + decode_time) / len(inputs))
            if (stage, unit) == final and (model.test_cfg or {}).get('shift_test'):
                placed = model.predict(inputs, samples)
            else:
                placed = model.add_pred_to_datasample(decoded, None, samples)
            predicted[stage, unit] = _instances(placed)
    return predicted


def final_predictor(model: nn.Module, last: Predictor) -> Predictor:
    """The predictor whose heatmaps the model decodes: the last one, or that of ``stages`` in its ``test_cfg``."""
    stages = (model.test_cfg or {}).get('stages')
    return last if stages is None else (stages - 1, last[1])


def _instances(samples: list) -> List[dict]:
    wanted = ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores')
    return [{name: np.array(_numpy(sample.pred_instances[name])) for name in wanted if name in sample.pred_instances}
            for sample in samples]


def _numpy(value):
    return value.cpu().numpy() if isinstance(value, Tensor) else value


def _light(sample) -> dict:
    """A sample without its pictures and predictions."""
    content = dict(sample.metainfo)
    content['gt_instances'] = {name: _numpy(value) for name, value in sample.gt_instances.all_items()
                               if name in ('bboxes', 'bbox_scores', 'bbox_scales', 'bbox_centers')}
    return content


class Clock:
    """Seconds from the start of the backbone to each predictor's heatmaps, of one batch at a time.

    The backbone runs its units in order, so what a unit's predictor needs is over when that unit ends.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.timed = has_stages(model) and isinstance(model.backbone, MSPN) and hasattr(model.head, 'predictors')
        self.handles: List[RemovableHandle] = []
        self.restart()

    def restart(self) -> None:
        """Begin a batch."""
        self.start = 0.
        self.unit_ends: Dict[Predictor, float] = {}
        self.predictor_starts: Dict[Predictor, float] = {}
        self.predictor_seconds: Dict[Predictor, float] = {}

    def __enter__(self) -> 'Clock':
        if self.timed:
            self._watch()
        return self

    def __exit__(self, *raised: object) -> None:
        for handle in self.handles:
            handle.remove()

    def now(self) -> float:
        """Seconds, once the device has done what it was asked to."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def reached(self, stage: int, unit: int) -> Optional[float]:
        """Seconds until this predictor's heatmaps, if no other predictor had run; ``None`` if that is not known."""
        if (stage, unit) not in self.unit_ends:
            return None
        return self.unit_ends[stage, unit] - self.start + self.predictor_seconds.get((stage, unit), 0.)

    def _watch(self) -> None:
        watch = self.handles.append
        watch(self.model.backbone.register_forward_pre_hook(self._begin))
        for stage, module in enumerate(self.model.backbone.stages):
            for unit, up in enumerate(module.units):
                watch(up.register_forward_hook(partial(self._end_unit, (stage, unit))))
        for stage, predictors in enumerate(self.model.head.predictors):
            for unit, predictor in enumerate(predictors):
                watch(predictor.register_forward_pre_hook(partial(self._begin_predictor, (stage, unit))))
                watch(predictor.register_forward_hook(partial(self._end_predictor, (stage, unit))))

    def _begin(self, *_: object) -> None:
        self.start = self.now()

    def _end_unit(self, place: Predictor, *_: object) -> None:
        self.unit_ends[place] = self.now()

    def _begin_predictor(self, place: Predictor, *_: object) -> None:
        self.predictor_starts[place] = self.now()

    def _end_predictor(self, place: Predictor, *_: object) -> None:
        # The flip test runs it twice.
        spent = self.now() - self.predictor_starts[place]
        self.predictor_seconds[place] = self.predictor_seconds.get(place, 0.) + spent


# ---------------------------------------------------------------- results and table


def predict_test_data(model: nn.Module, cfg: Config) -> Pass:
    """Run the model over the config's ``test_dataloader``, as a test does."""
    return run_pass(model, Runner.build_dataloader(cfg.test_dataloader, seed=0))


def write_results(source: Source, result: Pass, path: Path, predictor: Optional[Predictor] = None) -> None:
    """Write a predictor's predictions as a results file, scored and suppressed as the metric does.

    Args:
        predictor: Which predictor's; by default the one whose keypoints are the network's.
    """
    instances = result.instances[predictor or result.final]
    if source.figure.by_id:
        write_json_output(path, [_mpii_entry(*pair) for pair in zip(result.samples, instances)], KIND)
        return
    metric = source.metric
    metric.results = []
    metric.process({}, [dict(sample, pred_instances=predicted)
                        for sample, predicted in zip(result.samples, instances)])
    settings = metric.format_only, metric.outfile_prefix
    with tempfile.TemporaryDirectory() as folder:
        metric.format_only, metric.outfile_prefix = True, osp.join(folder, 'results')
        metric.compute_metrics(metric.results)
        content = Path(folder, 'results.keypoints.json').read_bytes()
    metric.format_only, metric.outfile_prefix = settings
    metric.results = []
    write_output(path, content, KIND)


def stage_table(source: Source, result: Pass) -> List[dict]:
    """A row per predictor, in the order in which the network runs them.

    Returns:
        ``stages`` (how many have run) and ``unit``, both from 1, ``last_unit``, the ``figure``, ``milliseconds`` a
        person, ``movement`` in px of the crop since the row before, and the keypoints' ``errors`` by kind with
        their ``shares``.
    """
    rows = []
    last_units = dict(sorted(result.instances))  # of each stage, the last pair wins
    with tempfile.TemporaryDirectory() as folder:
        for stage, unit in sorted(result.instances):
            path = Path(folder) / 'results.json'
            write_results(source, result, path, (stage, unit))
            predictions = source.read_predictions(path)
            diagnosis = diagnose(source.truth, predictions, source.keypoints, source.figure.by_id)
            rows.append(dict(
                stages=stage + 1,
                unit=unit + 1,
                last_unit=unit == last_units[stage],
                figure=source.figure(source.truth, predictions),
                milliseconds=result.milliseconds[stage, unit],
                movement=result.movement[stage, unit],
                errors=error_counts(diagnosis.kinds),
                shares=error_shares(diagnosis.kinds)))
    return rows


def _mpii_entry(sample: dict, instances: dict) -> dict:
    scores = instances['keypoint_scores']
    points = np.concatenate([instances['keypoints'][0, :, :2], scores[0][:, None]], 1)
    return dict(id=int(sample['id']), keypoints=points.astype(float).ravel().tolist(),
                score=float(scores.mean()))
