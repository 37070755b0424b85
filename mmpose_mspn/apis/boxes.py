"""Sources of person boxes: a COCO file, a detector of mmdet, or the whole image."""
import logging
import posixpath
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpose.evaluation.functional import nms

from mmpose_mspn.apis.inputs import Detector, Frame, Images, check_boxes, outside
from mmpose_mspn.apis.load import check_file, detector_device
from mmpose_mspn.checkpoints.fit import refuse_incomplete_weights
from mmpose_mspn.checkpoints.published import checkpoint_file
from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.data_check.coco import check_box_entries, check_entries, check_file_names, is_xyxy, read_coco
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.utils.arguments import first_few, near_matches
from mmpose_mspn.utils.errors import ConfigError, DataError, MissingPackageError, UserError
from mmpose_mspn.utils.files import read_json

Boxes = Tuple[np.ndarray, np.ndarray]
"""Boxes (N, 4), x, y, width, height in image px, and scores (N,), both float64."""
PERSON = 'person'
BOX_THRESHOLD, NMS_THRESHOLD = 0.3, 0.3
"""Lowest score of a detected box, and of mmpose's default detectors largest overlap of two: as in MMPoseInferencer."""
COCO_PERSON_ID = 1
"""Category id of persons in a file that does not name its categories."""


class BoxCategory(NamedTuple):
    """The category of the boxes that a model was trained for, used unless another one is named."""
    name: str = PERSON
    id: int = COCO_PERSON_ID  # in a file that does not name its categories


PERSONS = BoxCategory()

class FileBoxes:
    """Person boxes from a COCO file.

    A box belongs to the image whose path ends with the file name that the box gives, folders included: a box of
    ``b/1.jpg`` is none of ``a/1.jpg``. Boxes of other categories and of crowds are ignored; their number is logged.

    Args:
        path: An annotation file (``images`` and ``annotations``), or a list of detections, each with ``bbox`` (x, y,
            width, height in px), ``file_name`` or ``image_id``, and optionally ``score`` (default 1) and
            ``category_id`` (default: that of ``expected``).
        ann_file: Annotation file whose ``images`` map the ``image_id`` of a list's entries to file names.
        images: The images that the entries may name.
        category: Name or id of the category whose boxes are used. The default is the name of ``expected``, or the only
            category that a file names; in a file without names it is the id of ``expected``.
        expected: Category of the boxes that the model was trained for.

    Raises:
        FileNotFoundError: A file is missing.
        DataError: A file has another format, names images that do not exist, or has boxes, but none of the category.
    """

    def __init__(self, path: Union[str, Path], ann_file: Optional[Union[str, Path]], images: Images,
                 category: Optional[str] = None, expected: BoxCategory = PERSONS) -> None:
        self.path, self.ann_file, self.expected = Path(path), ann_file, expected
        self._warned = False
        content = read_json('boxes', self.path)
        if isinstance(content, dict) and {'images', 'annotations'} <= content.keys():
            if ann_file is not None:
                raise UserError(f'ann_file {ann_file} is for a list of detections, but boxes {path} is an annotation '
                                'file, which names its images itself: omit ann_file')
            catalog, content = content, content['annotations']
        else:
            catalog = {} if ann_file is None else read_coco('ann_file', ann_file)
        entries = raise_first(check_box_entries(content, f'boxes {path}'), '')
        self._names = raise_first(check_file_names(catalog, str(ann_file or path)), '')
        persons = self._wanted_ids(catalog, entries, category)
        self._boxes: Dict[str, List[Tuple[List[float], float]]] = {}
        by_name: Dict[str, Optional[str]] = {}
        others = 0
        for entry, name in zip(entries, self._names_of(entries)):
            if name not in by_name:
                by_name[name] = _image_of(name, images)
            if entry.get('category_id', expected.id) not in persons or entry.get('iscrowd'):
                others += 1
                continue
            self._boxes.setdefault(by_name[name] or name, []).append((entry['bbox'], entry.get('score', 1.)))
        if others:
            print_log(f'{others} boxes of {path} are of crowds or of other categories and are ignored', 'current')
        if entries and not self._boxes:
            raise DataError(f'boxes {path} have {len(entries)} entries, all of them of crowds: take other boxes')
        unknown = {name for name, image in by_name.items() if image is None}
        if unknown:
            raise DataError(f'boxes {path} name {len(unknown)} images that are not in {images.folder}, such as '
                            f'{first_few(sorted(unknown))} (folders are part of a name): put them there, or take the '
                            'boxes of these images')

    def __call__(self, frame: Frame) -> Boxes:
        scored_boxes = self._boxes.get(frame.name, [])
        boxes = np.array([box for box, _ in scored_boxes], np.float64).reshape(-1, 4)
        self._warn_of_corners(boxes, frame)
        return boxes, np.array([score for _, score in scored_boxes], np.float64)

    def _warn_of_corners(self, boxes: np.ndarray, frame: Frame) -> None:
        """Log the first image whose boxes reach beyond it, but lie in it if they are read as two corners."""
        size = frame.image.shape[1::-1]
        if not self._warned and is_xyxy(boxes.tolist(), [size] * len(boxes)):
            self._warned = True
            print_log(f'{frame.name}: its boxes in {self.path} reach beyond the image as x, y, width, height, and lie '
                      'in it as x1, y1, x2, y2: if they are corners, write widths and heights', 'current',
                      logging.WARNING)

    def _wanted_ids(self, catalog: dict, entries: List[dict], category: Optional[str]) -> Set[object]:
        """Ids of the category whose boxes are used."""
        listed = check_entries(catalog, 'categories', ('id', ), 'category', str(self.ann_file or self.path))
        names = {item['id']: str(item.get('name')) for item in raise_first(listed, '')
                 if isinstance(item['id'], (int, str))}
        used = {entry.get('category_id', self.expected.id) for entry in entries}
        if category is not None:
            wanted = {number for number in {*names, *used} if category in (str(number), names.get(number))}
        else:
            wanted = {number for number, name in names.items() if name == self.expected.name} or (
                set(names) if len(names) == 1 else set() if names else {self.expected.id})
        if entries and not wanted & used:
            available = first_few(sorted(f'{number} ({names[number]})' if number in names else str(number)
                                         for number in {*names, *used}))
            raise DataError(f'boxes {self.path} have no box of the category {category or self.expected.name!r}, only '
                            f'of {available}: name one of these with --category')
        return wanted

    def _names_of(self, entries: List[dict]) -> List[str]:
        """Return the file name of each entry's image."""
        ids = {entry['image_id'] for entry in entries if 'file_name' not in entry}
        if ids and not self._names:
            raise DataError(f'boxes {self.path} name images by id only: set ann_file (--ann-file) to the annotation '
                            'file with these images')
        unknown = ids - set(self._names)
        if unknown:
            raise DataError(f'boxes {self.path} have {len(unknown)} image ids that {self.ann_file or "their images"} '
                            f'does not list, such as {first_few(sorted(map(repr, unknown)))}: take the annotation '
                            'file that lists them')
        return [str(entry['file_name']) if 'file_name' in entry else self._names[entry['image_id']]
                for entry in entries]


def _image_of(name: str, images: Images) -> Optional[str]:
    """Name of the image in the folder whose path ends with ``name``; ``None`` if there is none."""
    parts = PurePosixPath(posixpath.normpath(name.replace('\\', '/'))).parts
    if not parts or parts[-1] not in images.names_in_folder:
        return None
    path = (images.folder.resolve() / parts[-1]).parts
    return parts[-1] if path[-len(parts):] == parts else None


def whole_image(frame: Frame) -> Boxes:
    """One box that covers the image, with score 1."""
    height, width = frame.image.shape[:2]
    return np.array([[0., 0., width, height]]), np.ones(1)


def open_detector(detector: Any, device: str, category: str = PERSON) -> Callable[[List[np.ndarray]], List[Boxes]]:
    """What finds the boxes of each of several images (H, W, 3) BGR uint8.

    Args:
        detector: A name of mmpose's default detectors, such as ``'human'``; a config and a checkpoint of mmdet; or a
            function that takes an image and returns boxes (N, 4), x, y, width, height in image px.
        device: Device of the pose estimator, which a detector of mmdet shares if it can.
        category: Class whose boxes a config's detector is asked for. The default detectors have theirs.

    Raises:
        MissingPackageError: mmdet is not installed.
        FileNotFoundError: A file is missing.
        UserError: The name is not known, or the checkpoint does not fit.
    """
    if callable(detector):
        def call(images: List[np.ndarray]) -> List[Boxes]:
            boxes = [check_boxes(detector(image), image.shape, 'xywh', 'the detector') for image in images]
            return [(xywh.astype(np.float64), np.ones(len(xywh))) for xywh in boxes]
        return call
    if not isinstance(detector, (str, Path)):
        config, checkpoint = detector
        return DetectorBoxes(config, checkpoint, device, category)
    from mmpose.apis.inferencers.utils import default_det_models  # imports mmdet, which takes seconds
    if detector not in default_det_models:
        raise UserError(f'detector {detector} is none of the default detectors of mmpose: name one, or give a config '
                        f'and a checkpoint of mmdet{near_matches(str(detector), default_det_models)}')
    entry = default_det_models[detector]
    return DetectorBoxes(entry['model'], entry['weights'], device, labels=entry['cat_ids'], nms_thr=NMS_THRESHOLD)


def person_detector(detector: Any, device: str) -> Detector:
    """What finds the boxes of people for ``predict``: those of :func:`open_detector` with MMPoseInferencer's threshold.
    """
    find_boxes = open_detector(detector, device)

    def persons(images: List[np.ndarray]) -> List[np.ndarray]:
        return [select_boxes(*boxes, BOX_THRESHOLD, image.shape)[0].astype(np.float32)
                for boxes, image in zip(find_boxes(images), images)]

    return persons


class DetectorBoxes:
    """Boxes found by a detector of mmdet.

    Args:
        config: The detector's config file, or its name in mmdet's list of models.
        checkpoint: The detector's weights, a file or a URL; ``None`` for those that mmdet's list names.
        device: Device on which the detector runs, if mmcv's operators are built for it (see
            :func:`~mmpose_mspn.apis.load.detector_device`).
        name: Class whose boxes are used; of a detector with a single class, that one.
        labels: Indices of the classes whose boxes are used, in place of ``name``.
        nms_thr: Largest overlap of two boxes, as their intersection over union; the default is what the detector
            itself allows.

    Raises:
        MissingPackageError: mmdet is not installed.
        FileNotFoundError: A file is missing.
        DataError: The checkpoint belongs to another config, or the detector has several classes and none of that name.
    """

    def __init__(self, config: Union[str, Path], checkpoint: Union[str, Path, None], device: str, name: str = PERSON,
                 labels: Optional[Sequence[int]] = None, nms_thr: Optional[float] = None) -> None:
        try:
            from mmdet.apis import DetInferencer, init_detector
            from mmdet.utils import get_test_pipeline_cfg
        except ImportError as error:
            raise MissingPackageError(f'a detector needs mmdet ({error}): pip install "mmdet>=3.0,<3.4"') from error
        device = detector_device(device)
        if checkpoint is None:
            self._model = DetInferencer(str(config), device=device).model
        else:
            check_file('det_config', config)
            checkpoint = checkpoint_file(checkpoint)
            content = read_checkpoint(checkpoint)  # first, because mmdet's loader runs code of it before torch 2.6
            self._model = init_detector(str(config), str(checkpoint), device=device)
            refuse_incomplete_weights(content, self._model, checkpoint)
        self._scope = self._model.cfg.get('default_scope', 'mmdet')
        classes = list(self._model.dataset_meta['classes'])
        if labels is None and name not in classes and len(classes) > 1:
            raise ConfigError(f'the detector of {config} has no class {name!r}, only {first_few(classes)}: take one '
                              'that has it, or that has a single class')
        self._labels = [classes.index(name) if name in classes else 0] if labels is None else list(labels)
        self._nms_thr = nms_thr
        steps = get_test_pipeline_cfg(self._model.cfg.copy())
        steps[0].type = 'mmdet.LoadImageFromNDArray'
        with DefaultScope.overwrite_default_scope(self._scope):  # mmpose has other steps of the same names
            self._pipeline = Compose(steps)

    def __call__(self, images: Sequence[np.ndarray]) -> List[Boxes]:
        """The boxes of each of several images (H, W, 3) BGR uint8."""
        samples: list = []
        with DefaultScope.overwrite_default_scope(self._scope), torch.no_grad():
            inputs = [self._pipeline(dict(img=image, img_id=0)) for image in images]
            # Only inputs of one size share a batch: the others would be padded, and that moves boxes.
            for _, batch in groupby(inputs, key=lambda sample: sample['inputs'].shape):
                samples += self._model.test_step(pseudo_collate(list(batch)))
        return [self._selected(sample.pred_instances.cpu().numpy()) for sample in samples]

    def _selected(self, instances: Any) -> Boxes:
        instances = instances[np.isin(instances.labels, self._labels)]
        boxes, scores = instances.bboxes.astype(np.float64), instances.scores.astype(np.float64)
        if self._nms_thr is not None:
            kept = nms(np.column_stack([boxes, scores]), self._nms_thr)
            boxes, scores = boxes[kept], scores[kept]
        boxes[:, 2:] -= boxes[:, :2]
        return boxes, scores


def select_boxes(boxes: np.ndarray, scores: np.ndarray, min_score: float,
                 shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray, int]:
    """Keep the boxes with a positive size, a part inside of the image and a score of at least ``min_score``.

    Args:
        boxes: (N, 4), x, y, width, height in image px.
        scores: (N,).
        min_score: Lowest score of a box that is kept.

    Returns:
        The kept boxes (M, 4), their scores (M,), and the number of boxes without a positive size or outside of the
        image.
    """
    shows = (boxes[:, 2:] > 0).all(1) & ~outside(boxes, shape)
    kept = shows & (scores >= min_score)
    return boxes[kept], scores[kept], int((~shows).sum())
