"""What a network of benchmarks/accuracy.py is worth: AP and error, by both decodes and their crossings."""
from pathlib import Path
from typing import Dict, List

import numpy as np
import torch
from accuracy_variants import DECODES, MMPOSE, OFFICIAL, Scale
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import KEYPOINT_CODECS, METRICS
from torch import nn

CELL = 2
"""px of the crop."""


def mmpose_codec(codec: dict, kernel_size: int) -> dict:
    """mmpose's codec of the same sizes."""
    return dict(type='MegviiHeatmap', input_size=tuple(codec['input_size']), heatmap_size=tuple(codec['heatmap_size']),
                kernel_size=kernel_size)


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
