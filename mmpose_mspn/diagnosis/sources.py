"""What a config says of its test data: keypoints, annotated people, and the metric that judges them."""
import os.path as osp
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Union

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmpose.evaluation.metrics import CocoMetric, MpiiPCKAccuracy
from mmpose.registry import DATASETS, METRICS
from xtcocotools.coco import COCO

from mmpose_mspn.utils.files import read_json, write_json

from .coco_people import read_coco_truth, read_results
from .figures import AveragePrecision, Figure, Pckh
from .people import Image, KeypointSet, Predictions, Truth

MPII_AREA_SHARE = 0.2
"""Share of the square over their height that a person covers, where MPII gives no area."""
FIRST_PIXEL = 1.
"""MPII's joints count pixels from 1."""


@dataclass
class Source:
    """Test data and the way it is measured.

    Attributes:
        keypoints: The keypoints.
        truth: The annotated people.
        metric: The config's metric, with its annotations.
        figure: The same metric's figure, for parts of the data and changed predictions.
        meta: The dataset's ``metainfo``.
    """
    keypoints: KeypointSet
    truth: Truth
    metric: BaseMetric
    figure: Figure
    meta: dict

    def read_predictions(self, path: Union[str, Path]) -> Predictions:
        """Predictions of any model for these people; see :func:`read_results` and :func:`read_mpii_results`."""
        if self.figure.by_id:
            return read_mpii_results(str(path), self.truth, len(self.keypoints))
        return read_results(str(path), self.truth, len(self.keypoints))

    def measure(self, path: Union[str, Path]) -> Dict[str, float]:
        """What the config's own metric says of a file of predictions."""
        if self.figure.by_id:
            return _measure_mpii(self.metric, self.truth, self.read_predictions(path))
        return _measure_coco(self.metric, Path(path))


def read_source(cfg: Config) -> Source:
    """The test data of a config.

    Raises:
        FileNotFoundError: A file of the data is missing.
        ValueError: The config tests on other data than COCO's and MPII's formats, or the data is not as it should be.
    """
    settings, evaluator = _dataset(cfg), _evaluator(cfg)
    kind = DATASETS.get(settings.type)
    meta = kind._load_metainfo(settings.get('metainfo') or None)
    keypoints = KeypointSet.from_metainfo(meta)
    metric = METRICS.build(evaluator)
    if isinstance(metric, CocoMetric):
        for name in ('gt_converter', 'pred_converter'):
            if getattr(metric, name) is not None:
                raise ValueError(f'test_evaluator converts keypoints ({name}), and a diagnosis compares them as '
                                 'annotated: take a config whose model has the data\'s keypoints')
        ann_file = evaluator.get('ann_file') or _below(settings, settings.ann_file)
        truth = read_coco_truth(
            ann_file, _image_folder(settings), keypoints, metric.use_area, metric.iou_type == 'keypoints_crowd')
        metric.dataset_meta = dict(meta)
        metric.coco = COCO(ann_file)
        return Source(keypoints, truth, metric, AveragePrecision(keypoints), meta)
    if isinstance(metric, MpiiPCKAccuracy):
        metric.dataset_meta = dict(meta)
        return Source(keypoints, _mpii_truth(settings), metric, Pckh(keypoints), meta)
    raise ValueError('test_evaluator must be CocoMetric, CocoWholeBodyMetric or MpiiPCKAccuracy, whose annotations '
                     f'say who is to be found, got {evaluator.type}')


def read_mpii_results(path: str, truth: Truth, num_keypoints: int) -> Predictions:
    """Predictions for the people of MPII: a JSON list of ``id`` and ``keypoints``.

    ``id`` is the person's place in the annotation file, from 0; ``keypoints`` are x, y and score of each in image px
    that count from 0, as the network predicts them; ``score`` may stand beside them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another format, or of other or repeated people.
    """
    results = read_json('predictions', path, list)
    for index, result in enumerate(results):
        complete = isinstance(result, dict) and 'id' in result
        if not complete or len(result.get('keypoints') or ()) != 3 * num_keypoints:
            raise ValueError(f'entry {index} of predictions {path} must have id, the person\'s place in '
                             f'{truth.file}, and keypoints, x, y and score of each of {num_keypoints}')
    ids = np.array([result['id'] for result in results], np.int64)
    wrong = sorted(set(ids.tolist()) - set(truth.ids.tolist()))
    if wrong or len(set(ids.tolist())) < len(ids):
        raise ValueError(f'predictions {path} must name people of {truth.file} once each, got {wrong[:3] or "repeats"}')
    points = np.array([result['keypoints'] for result in results], np.float64).reshape(-1, num_keypoints, 3)
    if not np.isfinite(points).all():
        raise ValueError(f'predictions {path} hold numbers that are not finite: a network that gives them has diverged')
    order = np.argsort(truth.ids, kind='stable')
    person = order[np.searchsorted(truth.ids, ids, sorter=order)]
    scores = np.array([result.get('score', points[index, :, 2].mean()) for index, result in enumerate(results)])
    return Predictions(points[..., :2], points[..., 2], scores.astype(np.float64), truth.boxes[person],
                       truth.image[person], ids).ordered()


def _dataset(cfg: Config) -> dict:
    loader = cfg.get('test_dataloader')
    if not loader or not loader.get('dataset'):
        raise ValueError('the config has no test_dataloader with a dataset, whose people a diagnosis is of: add one')
    if 'ann_file' not in loader.dataset:
        raise ValueError(f'test_dataloader.dataset {loader.dataset.type} has no ann_file: a diagnosis is of one data '
                         'set, so take a config that tests on one')
    return loader.dataset


def _evaluator(cfg: Config) -> dict:
    given = cfg.get('test_evaluator') or []
    given = given if isinstance(given, list) else [given]
    if len(given) != 1:
        raise ValueError(f'the config must have one test_evaluator, got {len(given)}: set test_evaluator to the metric '
                         'that a diagnosis is to explain')
    # Only the format of the submission: nothing would be measured.
    return given[0] | dict(format_only=False) if given[0].get('format_only') else given[0]


def _below(settings: dict, path: str) -> str:
    return path if osp.isabs(path) else osp.join(settings.get('data_root') or '', path)


def _image_folder(settings: dict) -> str:
    return _below(settings, (settings.get('data_prefix') or {}).get('img', ''))


def _mpii_truth(settings: dict) -> Truth:
    """From the dataset itself, which reads the head boxes too."""
    dataset = DATASETS.build({**settings, 'test_mode': True, 'pipeline': [], 'bbox_file': None})
    people = [dataset.get_data_info(index) for index in range(len(dataset))]
    if any('head_size' not in person for person in people):
        raise ValueError('PCKh divides by head sizes, and test_dataloader.dataset.headbox_file is not set: set it to '
                         'the .mat file of these people\'s head boxes')
    images = {person['img_id']: person['img_path'] for person in people}
    places = {number: index for index, number in enumerate(sorted(images))}
    people.sort(key=lambda person: places[person['img_id']])
    keypoints = np.concatenate([person['keypoints'] for person in people]).astype(np.float64) - FIRST_PIXEL
    visible = np.concatenate([person['keypoints_visible'] for person in people]).astype(np.float64)
    corners = np.concatenate([person['bbox'] for person in people]).astype(np.float64)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    heights = boxes[:, 2]  # the box is the square over the person's height
    return Truth(
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        areas=MPII_AREA_SHARE * heights**2,
        norms=np.array([float(np.ravel(person['head_size'])[0]) for person in people]),
        image=np.array([places[person['img_id']] for person in people]),
        ids=np.array([person['id'] for person in people]),
        ignored=~(visible > 0).any(1),
        crowd=np.zeros(len(people), bool),
        images=tuple(Image(number, osp.basename(images[number]), images[number], None, None)
                     for number in sorted(images)),
        file=_below(settings, settings.ann_file))


def _measure_coco(metric: CocoMetric, path: Path) -> Dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        results = read_json('predictions', path, list)
        if not results:
            raise ValueError(f'predictions {path} are empty: nothing was found, so there is nothing to explain')
        write_json(Path(folder) / 'results.keypoints.json', [{'category_id': 1, **result} for result in results])
        return {name: float(value) for name, value in metric._do_python_keypoint_eval(osp.join(folder, 'results'))}


def _measure_mpii(metric: MpiiPCKAccuracy, truth: Truth, predictions: Predictions) -> Dict[str, float]:
    order = np.argsort(truth.ids, kind='stable')
    person = order[np.searchsorted(truth.ids, predictions.ids, sorter=order)]
    result = dict(
        pred_coords=predictions.keypoints,
        gt_coords=truth.keypoints[person] + FIRST_PIXEL,
        mask=truth.labeled[person],
        head_size=np.repeat(truth.norms[person][:, None], 2, 1))
    return {name: float(value) for name, value in metric.compute_metrics([result]).items()}
