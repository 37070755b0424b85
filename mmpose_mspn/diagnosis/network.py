"""A network's predictions of the test data, as results files, and the table of its stages."""
import os.path as osp
import tempfile
from pathlib import Path
from typing import List, Optional

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmpose_mspn.utils.files import write_atomically, write_json

from .errors import diagnose
from .sources import Source
from .stages import Pass, Predictor, run_pass
from .summary import error_counts, error_shares


def predict_test_data(model: nn.Module, cfg: Config) -> Pass:
    """Run the model over the config's ``test_dataloader``, as a test does."""
    return run_pass(model, Runner.build_dataloader(cfg.test_dataloader, seed=0))


def write_results(source: Source, result: Pass, path: Path, predictor: Optional[Predictor] = None) -> None:
    """Write a predictor's predictions as a results file, scored and suppressed as the metric does.

    Args:
        source: The test data.
        result: What was predicted.
        path: JSON file.
        predictor: Which predictor's; by default the one whose keypoints are the network's.
    """
    instances = result.instances[predictor or result.final]
    if source.figure.by_id:
        write_json(path, [_mpii_entry(sample, found) for sample, found in zip(result.samples, instances)])
        return
    metric = source.metric
    metric.results = []
    metric.process({}, [dict(sample, pred_instances=found) for sample, found in zip(result.samples, instances)])
    settings = metric.format_only, metric.outfile_prefix
    with tempfile.TemporaryDirectory() as folder:
        metric.format_only, metric.outfile_prefix = True, osp.join(folder, 'results')
        metric.compute_metrics(metric.results)
        content = Path(folder, 'results.keypoints.json').read_bytes()
    metric.format_only, metric.outfile_prefix = settings
    metric.results = []
    write_atomically(path, content)


def stage_table(source: Source, result: Pass) -> List[dict]:
    """A row per predictor, in the order in which the network runs them.

    Returns:
        ``stages`` (how many have run) and ``unit``, both from 1, ``last_unit``, the ``figure``, ``milliseconds`` a
        person, ``movement`` in px of the crop since the row before, and the keypoints' ``errors`` by kind with
        their ``shares``.
    """
    rows = []
    stages = max(stage for stage, _ in result.instances) + 1
    last_units = {stage: max(unit for other, unit in result.instances if other == stage) for stage in range(stages)}
    with tempfile.TemporaryDirectory() as folder:
        for stage, unit in sorted(result.instances):
            path = Path(folder) / 'results.json'
            write_results(source, result, path, (stage, unit))
            predictions = source.read_predictions(path)
            found = diagnose(source.truth, predictions, source.keypoints, source.figure.by_id)
            rows.append(dict(
                stages=stage + 1,
                unit=unit + 1,
                last_unit=unit == last_units[stage],
                figure=source.figure(source.truth, predictions),
                milliseconds=result.milliseconds[stage, unit],
                movement=result.movement[stage, unit],
                errors=error_counts(found.kinds),
                shares=error_shares(found.kinds)))
    return rows


def _mpii_entry(sample: dict, found: dict) -> dict:
    points = np.concatenate([found['keypoints'][0, :, :2], found['keypoint_scores'][0][:, None]], 1)
    return dict(id=int(sample['id']), keypoints=points.astype(float).ravel().tolist(),
                score=float(found['keypoint_scores'].mean()))
