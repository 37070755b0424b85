"""Where the person boxes come from: a COCO file, a detector of mmdet, or the whole image.

Each source is called with a :class:`~mmpose_mspn.apis.inputs.Frame` and returns boxes (N, 4), x, y, width, height in
image px, and scores (N,), both float64.
"""
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set, Tuple, Union

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.numbers import is_finite

from .inputs import Frame, Images
from .loading import check_file, check_weights

Boxes = Tuple[np.ndarray, np.ndarray]

PERSON = 'person'
COCO_PERSON_ID = 1
"""Category of a person where a file does not name its categories."""

SHOWN = 5
"""Offenders that an error message names."""


def whole_image(frame: Frame) -> Boxes:
    """One box that covers the image, with score 1."""
    height, width = frame.image.shape[:2]
    return np.array([[0., 0., width, height]]), np.ones(1)


class FileBoxes:
    """Person boxes of a COCO file, by the name of the image file; folders in the file's names do not count.

    Boxes of other categories and of crowds are left out, counted and logged.

    Args:
        path: An annotation file (``images`` and ``annotations``), or a list of detections, each with ``bbox`` (x, y,
            width, height in px), ``file_name`` or ``image_id``, and where known ``score`` (else 1) and ``category_id``.
        ann_file: Annotation file whose ``images`` say which file an ``image_id`` of a list is.
        images: The images that may be named.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not of this form, or names images that are not there.
    """

    def __init__(self, path: Union[str, Path], ann_file: Optional[Union[str, Path]], images: Images) -> None:
        self.path, self.ann_file = Path(path), ann_file
        content = read_json('boxes', self.path)
        catalog, entries = self._split(content)
        try:
            self._names = {image['id']: Path(image['file_name']).name for image in catalog.get('images', [])}
        except (KeyError, TypeError) as error:
            raise ValueError(f'images of {ann_file or path} must have id and file_name each, got one with no such key: '
                             f'{error}') from error
        persons = {item['id'] for item in catalog.get('categories', []) if item.get('name') == PERSON}
        persons = persons or {COCO_PERSON_ID}
        self._boxes: Dict[str, List[Tuple[List[float], float]]] = {}
        named: Set[str] = set()
        others = 0
        for index, name in enumerate(self._names_of(entries)):
            entry, box = entries[index], self._box(entries[index], index)
            named.add(name)
            if entry.get('category_id', COCO_PERSON_ID) not in persons or entry.get('iscrowd'):
                others += 1
                continue
            self._boxes.setdefault(name, []).append(box)
        if others:
            print_log(f'{others} boxes of {path} are of crowds or of no person and are left out', 'current')
        unknown = named - images.names_in_folder
        if unknown:
            raise ValueError(f'boxes {path} name {len(unknown)} images that are not in {images.folder}, such as '
                             f'{_some(unknown)}: put them there, or take the boxes of these images')

    def __call__(self, frame: Frame) -> Boxes:
        found = self._boxes.get(frame.name, [])
        boxes = np.array([box for box, _ in found], np.float64).reshape(-1, 4)
        return boxes, np.array([score for _, score in found], np.float64)

    def _split(self, content: Union[dict, list]) -> Tuple[dict, List[dict]]:
        """The annotation file's content that says what ids mean, and the entries with boxes."""
        if isinstance(content, dict) and 'images' in content and 'annotations' in content:
            if self.ann_file is not None:
                raise ValueError(f'ann_file {self.ann_file} is for a list of detections, but boxes {self.path} is an '
                                 'annotation file, which names its images itself: leave ann_file away')
            return content, content['annotations']
        if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
            raise ValueError(f'boxes {self.path} must be a COCO annotation file (images and annotations) or a list of '
                             'detections')
        if self.ann_file is None:
            return {}, content
        catalog = read_json('ann_file', self.ann_file)
        if not isinstance(catalog, dict) or 'images' not in catalog:
            raise ValueError(f'ann_file {self.ann_file} must be a COCO annotation file, with images')
        return catalog, content

    def _names_of(self, entries: List[dict]) -> List[str]:
        """File name of each entry's image."""
        unnamed = [index for index, entry in enumerate(entries) if not {'file_name', 'image_id'} & set(entry)]
        if unnamed:
            raise ValueError(f'entry {unnamed[0]} of boxes {self.path} has neither file_name nor image_id')
        ids = {entry['image_id'] for entry in entries if 'file_name' not in entry}
        if ids and not self._names:
            raise ValueError(f'boxes {self.path} name images by id only: give ann_file (--ann-file), the annotation '
                             'file whose images say which file an id is')
        unknown = ids - set(self._names)
        if unknown:
            raise ValueError(f'boxes {self.path} have {len(unknown)} image ids that {self.ann_file or "their images"} '
                             f'does not list, such as {_some(unknown)}: take the annotation file they were made for')
        return [Path(entry['file_name']).name if 'file_name' in entry else self._names[entry['image_id']]
                for entry in entries]

    def _box(self, entry: dict, index: int) -> Tuple[List[float], float]:
        box, score = entry.get('bbox'), entry.get('score', 1.)
        values = [*box, score] if isinstance(box, list) else []
        if len(values) != 5 or not is_finite(*values):
            raise ValueError(f'entry {index} of boxes {self.path}: bbox must be four finite numbers (x, y, width, '
                             f'height) and score one, got bbox {box} and score {score}')
        return box, score


class DetectorBoxes:
    """Persons that a detector of mmdet finds.

    Args:
        config: The detector's config file.
        checkpoint: Its weights.
        device: Where it runs.

    Raises:
        ImportError: mmdet is not installed.
        FileNotFoundError: A file is missing.
        ValueError: The checkpoint is not of this config, or the detector knows no persons.
    """

    def __init__(self, config: Union[str, Path], checkpoint: Union[str, Path], device: str) -> None:
        try:
            from mmdet.apis import inference_detector, init_detector
        except ImportError as error:
            raise ImportError(f'det_config needs mmdet ({error}): pip install "mmdet>=3.0,<3.4"') from error
        check_file('det_config', config)
        check_file('det_checkpoint', checkpoint)
        self._infer = inference_detector
        self._model = init_detector(str(config), str(checkpoint), device=device)
        check_weights(self._model, checkpoint)
        self._scope = self._model.cfg.get('default_scope', 'mmdet')
        classes = list(self._model.dataset_meta['classes'])
        if PERSON not in classes and len(classes) > 1:
            raise ValueError(f'the detector of {config} knows no class {PERSON!r}, only {_some(classes)}: take one '
                             'that does, or that has one class')
        self._label = classes.index(PERSON) if PERSON in classes else 0

    def __call__(self, frame: Frame) -> Boxes:
        # Its pipeline is built at each call, from mmdet's parts; mmpose has others of the same names.
        with DefaultScope.overwrite_default_scope(self._scope):
            found = self._infer(self._model, frame.image).pred_instances
        found = found[found.labels == self._label]
        boxes = found.bboxes.cpu().numpy().astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return boxes, found.scores.cpu().numpy().astype(np.float64)


def usable(boxes: np.ndarray, scores: np.ndarray, bbox_thr: float) -> Tuple[np.ndarray, np.ndarray, int]:
    """Boxes and scores of at least ``bbox_thr`` that have a size, and how many had none."""
    sized = (boxes[:, 2:] > 0).all(1)
    kept = sized & (scores >= bbox_thr)
    return boxes[kept], scores[kept], int((~sized).sum())


def _some(items: Iterable) -> str:
    """The first few of the items in order, and whether there are more."""
    items = sorted(items)
    return ', '.join(map(str, items[:SHOWN])) + (', …' if len(items) > SHOWN else '')
