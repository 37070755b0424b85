"""What a config says of its test data: keypoints, annotated people, and the metric that judges them."""
import os.path as osp
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple, Union

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmpose.evaluation.metrics import CocoMetric, MpiiPCKAccuracy
from mmpose.registry import DATASETS, METRICS
from xtcocotools.coco import COCO

from mmpose_mspn.data_check.coco import COCO_FIELDS, CocoFields, check_coco, read_coco
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.utils.errors import ConfigError, DataError
from mmpose_mspn.utils.files import below_root, read_json, write_json

from .figures import AveragePrecision, Figure, Pckh
from .people import Image, KeypointSet, Predictions, Truth, extents

# ---------------------------------------------------------------- the config

MPII_AREA_SHARE = 0.2
"""Share of the square over their height that a person covers, where MPII gives no area."""
KIND = 'diagnose'
"""The kind of run that writes the files of a diagnosis, see :mod:`mmpose_mspn.utils.outputs`."""
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
        UserError: The config tests on other data than COCO's and MPII's formats, or the data is not as it should be.
    """
    settings, evaluator = _dataset(cfg), _evaluator(cfg)
    kind = DATASETS.get(settings.type)
    meta = kind._load_metainfo(settings.get('metainfo') or None)
    keypoints = KeypointSet.from_metainfo(meta)
    metric = METRICS.build(evaluator)
    if isinstance(metric, CocoMetric):
        for name in ('gt_converter', 'pred_converter'):
            if getattr(metric, name) is not None:
                raise ConfigError(f'test_evaluator converts keypoints ({name}), and a diagnosis compares them as '
                                  'annotated: take a config whose model has the data\'s keypoints')
        ann_file = evaluator.get('ann_file') or below_root(settings.ann_file, settings.get('data_root'))
        image_folder = below_root((settings.get('data_prefix') or {}).get('img', ''), settings.get('data_root'))
        truth = read_coco_truth(
            ann_file, image_folder, keypoints, metric.use_area, metric.iou_type == 'keypoints_crowd')
        metric.dataset_meta = dict(meta)
        metric.coco = COCO(ann_file)
        return Source(keypoints, truth, metric, AveragePrecision(keypoints), meta)
    if isinstance(metric, MpiiPCKAccuracy):
        metric.dataset_meta = dict(meta)
        return Source(keypoints, _mpii_truth(settings), metric, Pckh(keypoints), meta)
    raise ConfigError('test_evaluator must be CocoMetric, CocoWholeBodyMetric or MpiiPCKAccuracy, whose annotations '
                      f'say who is to be found, got {evaluator.type}')


def read_mpii_results(path: str, truth: Truth, num_keypoints: int) -> Predictions:
    """Predictions for the people of MPII: a JSON list of ``id`` and ``keypoints``.

    ``id`` is the person's place in the annotation file, from 0; ``keypoints`` are x, y and score of each in image px
    that count from 0, as the network predicts them; ``score`` may stand beside them.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is of another format, or of other or repeated people.
    """
    results = read_json('predictions', path, list)
    for index, result in enumerate(results):
        complete = isinstance(result, dict) and 'id' in result
        if not complete or len(result.get('keypoints') or ()) != 3 * num_keypoints:
            raise DataError(f'entry {index} of predictions {path} must have id, the person\'s place in '
                            f'{truth.file}, and keypoints, x, y and score of each of {num_keypoints}')
    ids = np.array([result['id'] for result in results], np.int64)
    wrong = sorted(set(ids.tolist()) - set(truth.ids.tolist()))
    if wrong or len(set(ids.tolist())) < len(ids):
        raise DataError(f'predictions {path} must name people of {truth.file} once each, got {wrong[:3] or "repeats"}')
    points = np.array([result['keypoints'] for result in results], np.float64).reshape(-1, num_keypoints, 3)
    if not np.isfinite(points).all():
        raise DataError(f'predictions {path} hold numbers that are not finite: a network that gives them has diverged')
    person = truth.person_of(ids)
    scores = np.array([result.get('score', points[index, :, 2].mean()) for index, result in enumerate(results)])
    return Predictions(points[..., :2], points[..., 2], scores.astype(np.float64), truth.boxes[person],
                       truth.image[person], ids).ordered()


def _dataset(cfg: Config) -> dict:
    loader = cfg.get('test_dataloader')
    if not loader or not loader.get('dataset'):
        raise ConfigError('the config has no test_dataloader with a dataset, whose people a diagnosis is of: add one')
    if 'ann_file' not in loader.dataset:
        raise ConfigError(f'test_dataloader.dataset {loader.dataset.type} has no ann_file: a diagnosis is of one data '
                          'set, so take a config that tests on one')
    return loader.dataset


def _evaluator(cfg: Config) -> dict:
    evaluators = cfg.get('test_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    if len(evaluators) != 1:
        raise ConfigError(f'the config must have one test_evaluator, got {len(evaluators)}: set test_evaluator to the '
                          'metric that a diagnosis is to explain')
    evaluator = evaluators[0]
    # Only the format of the submission: nothing would be measured.
    return evaluator | dict(format_only=False) if evaluator.get('format_only') else evaluator


def _mpii_truth(settings: dict) -> Truth:
    """From the dataset itself, which reads the head boxes too."""
    dataset = DATASETS.build({**settings, 'test_mode': True, 'pipeline': [], 'bbox_file': None})
    people = [dataset.get_data_info(index) for index in range(len(dataset))]
    if any('head_size' not in person for person in people):
        raise ConfigError('PCKh divides by head sizes, and test_dataloader.dataset.headbox_file is not set: set it to '
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
        file=below_root(settings.ann_file, settings.get('data_root')))


def _measure_coco(metric: CocoMetric, path: Path) -> Dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        results = read_json('predictions', path, list)
        if not results:
            raise DataError(f'predictions {path} are empty: nothing was found, so there is nothing to explain')
        write_json(Path(folder) / 'results.keypoints.json', [{'category_id': 1, **result} for result in results])
        return {name: float(value) for name, value in metric._do_python_keypoint_eval(osp.join(folder, 'results'))}


def _measure_mpii(metric: MpiiPCKAccuracy, truth: Truth, predictions: Predictions) -> Dict[str, float]:
    person = truth.person_of(predictions.ids)
    result = dict(
        pred_coords=predictions.keypoints,
        gt_coords=truth.keypoints[person] + FIRST_PIXEL,
        mask=truth.labeled[person],
        head_size=np.repeat(truth.norms[person][:, None], 2, 1))
    return {name: float(value) for name, value in metric.compute_metrics([result]).items()}


# ---------------------------------------------------------------- files in COCO's formats

WHOLEBODY_FIELDS = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
"""Fields of an annotation or a result that hold the keypoints of COCO-WholeBody, in their order."""
BOX_AREA_SHARE = 0.53
"""Share of its box that a person covers, by which evaluations without annotated areas go."""


def read_coco_truth(ann_file: str, image_folder: str, keypoints: KeypointSet, use_area: bool = True,
                    ignore_unseen: bool = False) -> Truth:
    """The people of an annotation file in COCO's format.

    Args:
        keypoints: Its keypoints. The 133 of COCO-WholeBody are read from their five fields.
        use_area: Whether annotations have an ``area``; else it is a share of the box.
        ignore_unseen: Whether ``num_keypoints`` says who need not be found, as in CrowdPose's evaluation; else it is
            who has no labeled keypoint.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file does not hold what :mod:`mmpose_mspn.data_check.coco` asks for, or its people are of
            several categories or lack what the metric reads.
    """
    content = read_coco('ann_file', ann_file, ('images', 'annotations'))
    fields = _fields(content['annotations'], len(keypoints))
    counts = COCO_FIELDS['CocoWholeBodyDataset'].keypoints if len(fields) > 1 else dict(keypoints=len(keypoints))
    coco = raise_first(check_coco(content, CocoFields(counts), f'ann_file {ann_file}'))
    images = _images(coco.images.values(), image_folder)
    places = {image.id: index for index, image in enumerate(images)}
    people = [person for person in coco.annotations if all(name in person for name in fields)]
    categories = {person['category_id'] for person in people}
    if len(categories) > 1:
        raise DataError(f'ann_file {ann_file} has keypoints of {len(categories)} categories, '
                        f'{sorted(categories)}: a diagnosis is of one, so write a file for each')
    unknown = [person['id'] for person in people if person['image_id'] not in places]
    if unknown:
        raise DataError(f'ann_file {ann_file} has annotations of images that it does not list, such as {unknown[:3]}')
    needed = ['bbox', *(['area'] if use_area else []), *(['num_keypoints'] if ignore_unseen else [])]
    missing = [(person['id'], name) for person in people for name in needed if name not in person]
    if missing:
        number, name = missing[0]
        remedy = ', or set test_evaluator.use_area=False' if name == 'area' else ''
        raise DataError(f'annotation {number} of ann_file {ann_file} has no {name}, by which it is measured: add it'
                        f'{remedy}')
    people.sort(key=lambda person: places[person['image_id']])
    points = _points(people, fields, len(keypoints), 'annotation', ann_file)
    boxes = np.array([person['bbox'][:4] for person in people], np.float64).reshape(-1, 4)
    box_areas = boxes[:, 2] * boxes[:, 3] * BOX_AREA_SHARE
    areas = np.array([person['area'] for person in people], np.float64) if use_area else box_areas
    crowd = np.array([bool(person.get('iscrowd', 0)) for person in people], bool)
    if ignore_unseen:
        empty = np.array([person['num_keypoints'] == 0 for person in people], bool)
    else:
        empty = ~(points[..., 2] > 0).any(1)
    return Truth(
        keypoints=points[..., :2],
        visible=points[..., 2],
        boxes=boxes,
        areas=areas,
        norms=boxes[:, 2:].max(1, initial=0),
        image=np.array([places[person['image_id']] for person in people], np.int64),
        ids=np.array([person['id'] for person in people], np.int64),
        ignored=crowd | empty,
        crowd=crowd,
        images=images,
        file=ann_file)


def read_results(path: str, truth: Truth, num_keypoints: int) -> Predictions:
    """Predictions in the format of COCO's results, which ``CocoMetric`` writes.

    Args:
        path: JSON list of ``image_id``, ``keypoints`` (x, y, score of each, in image px), ``score`` and, where known,
            ``bbox`` (x, y, width, height).
        num_keypoints: K.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is of another format, of other images or of other keypoints.
    """
    results = read_json('predictions', path, list)
    places = {image.id: index for index, image in enumerate(truth.images)}
    for index, result in enumerate(results):
        missing = [name for name in ('image_id', 'keypoints', 'score')
                   if not isinstance(result, dict) or name not in result]
        if missing:
            raise DataError(f'entry {index} of predictions {path} has no {", ".join(missing)}: write COCO results')
    unknown = sorted({result['image_id'] for result in results} - set(places))
    if unknown:
        raise DataError(f'predictions {path} are of {len(unknown)} images that {truth.file} does not list, such as '
                        f'{unknown[:3]}: name the predictions of these images')
    points = _points(results, _fields(results, num_keypoints), num_keypoints, 'entry', path)
    scores = np.array([result['score'] for result in results], np.float64)
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise DataError(f'predictions {path} hold numbers that are not finite: a network that gives them has diverged')
    boxes = extents(points[..., :2]) if len(points) else np.zeros((0, 4))
    for index, result in enumerate(results):
        if result.get('bbox') is not None:
            boxes[index] = result['bbox'][:4]
    predictions = Predictions(
        keypoints=points[..., :2],
        keypoint_scores=points[..., 2],
        scores=scores,
        boxes=boxes,
        image=np.array([places[result['image_id']] for result in results], np.int64),
        ids=np.arange(len(results)))
    # The COCO API passes over results none of whose keypoints scores above 0.
    return predictions.chosen((predictions.keypoint_scores > 0).any(1)).ordered()


def _images(entries: Iterable[dict], folder: str) -> Tuple[Image, ...]:
    return tuple(Image(entry['id'], entry['file_name'], osp.join(folder, entry['file_name']), entry['width'],
                       entry['height']) for entry in sorted(entries, key=lambda entry: entry['id']))


def _fields(entries: Sequence[dict], num_keypoints: int) -> Tuple[str, ...]:
    """The fields that together hold the keypoints of an entry."""
    parts = bool(entries) and all(name in entries[0] for name in WHOLEBODY_FIELDS)
    return WHOLEBODY_FIELDS if num_keypoints == 133 and parts else ('keypoints', )


def _points(entries: List[dict], fields: Sequence[str], num_keypoints: int, kind: str, file: str) -> np.ndarray:
    """(N, K, 3), x, y and visibility or score."""
    rows = [[value for name in fields for value in entry[name]] for entry in entries]
    for index, row in enumerate(rows):
        if len(row) != 3 * num_keypoints:
            number = entries[index].get('id', index)
            third = 'visibility' if kind == 'annotation' else 'score'
            raise DataError(f'{kind} {number} of {file} has {len(row)} values, not {3 * num_keypoints}, which are x, '
                            f'y and {third} of {num_keypoints} keypoints: name a file of the config\'s keypoints')
    return np.array(rows, np.float64).reshape(-1, num_keypoints, 3)
