"""Sources of person boxes: a COCO file, a detector of mmdet, or the whole image."""
import logging
import posixpath
from pathlib import Path, PurePosixPath
from typing import Dict, List, NamedTuple, Optional, Set, Tuple, Union

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmpose_mspn.apis.inputs import Frame, Images, outside
from mmpose_mspn.apis.load import check_file, check_weights, detector_device
from mmpose_mspn.data_check.coco import is_xyxy, read_coco
from mmpose_mspn.data_check.problems import LARGEST_SIDE
from mmpose_mspn.utils.arguments import first_few
from mmpose_mspn.utils.errors import ConfigError, DataError, MissingPackageError, UserError
from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.numbers import is_finite

Boxes = Tuple[np.ndarray, np.ndarray]
"""Boxes (N, 4), x, y, width, height in image px, and scores (N,), both float64."""
PERSON = 'person'
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
        catalog, entries = self._split(content)
        self._names = self._file_names(catalog)
        persons = self._wanted_ids(catalog, entries, category)
        self._boxes: Dict[str, List[Tuple[List[float], float]]] = {}
        by_name: Dict[str, Optional[str]] = {}
        others = 0
        for index, name in enumerate(self._names_of(entries)):
            entry, box = entries[index], self._box(entries[index], index)
            if name not in by_name:
                by_name[name] = _image_of(name, images)
            if entry.get('category_id', expected.id) not in persons or entry.get('iscrowd'):
                others += 1
                continue
            self._boxes.setdefault(by_name[name] or name, []).append(box)
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

    def _split(self, content: Union[dict, list]) -> Tuple[dict, List[dict]]:
        """Return the annotation file's content that maps ids to names, and the entries with boxes."""
        if isinstance(content, dict) and 'images' in content and 'annotations' in content:
            if self.ann_file is not None:
                raise UserError(f'ann_file {self.ann_file} is for a list of detections, but boxes {self.path} is an '
                                'annotation file, which names its images itself: omit ann_file')
            return content, self._entries(content['annotations'])
        content = self._entries(content)
        if self.ann_file is None:
            return {}, content
        return read_coco('ann_file', self.ann_file), content

    def _entries(self, entries: object) -> List[dict]:
        """Check that the entries with boxes are a list of objects whose ids can be ids."""
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f'boxes {self.path} must be a COCO annotation file (images and annotations) or a list of '
                            'detections')
        for index, entry in enumerate(entries):
            for field in ('image_id', 'category_id'):
                if not isinstance(entry.get(field, 0), (int, str)):
                    raise DataError(f'entry {index} of boxes {self.path}: {field} must be a number or a name, got '
                                    f'{entry[field]}')
        return entries

    def _file_names(self, catalog: dict) -> Dict[object, str]:
        """File names by image id."""
        names: Dict[object, str] = {}
        images = catalog.get('images', [])
        if not isinstance(images, list):
            raise DataError(f'images of {self.ann_file or self.path} must be a list, got {images}: write the file '
                            'again')
        for index, image in enumerate(images):
            if not isinstance(image, dict) or not isinstance(image.get('file_name'), str) or not isinstance(
                    image.get('id'), (int, str)):
                raise DataError(f'each of the images of {self.ann_file or self.path} must have id and file_name, got '
                                f'{image} at index {index}')
            name = names.setdefault(image['id'], image['file_name'])
            if name != image['file_name']:
                raise DataError(f'the images of {self.ann_file or self.path} have the id {image["id"]} twice, for '
                                f'{name} and {image["file_name"]}: give each image an id of its own')
        return names

    def _wanted_ids(self, catalog: dict, entries: List[dict], category: Optional[str]) -> Set[object]:
        """Ids of the category whose boxes are used."""
        try:
            names = {item['id']: str(item.get('name')) for item in catalog.get('categories') or []}
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f'each of the categories of {self.ann_file or self.path} must have id and name, got one '
                            f'without: {error}') from error
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
        unnamed = [index for index, entry in enumerate(entries) if not {'file_name', 'image_id'} & set(entry)]
        if unnamed:
            raise DataError(f'entry {unnamed[0]} of boxes {self.path} has neither file_name nor image_id')
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

    def _box(self, entry: dict, index: int) -> Tuple[List[float], float]:
        box, score = entry.get('bbox'), entry.get('score', 1.)
        values = [*box, score] if isinstance(box, list) else []
        if len(values) != 5 or not is_finite(*values):
            raise DataError(f'entry {index} of boxes {self.path}: bbox must be four finite numbers (x, y, width, '
                            f'height) and score one, got bbox {box} and score {score}')
        if max(map(abs, box)) > LARGEST_SIDE:
            raise DataError(f'entry {index} of boxes {self.path}: bbox {box} reaches further than {LARGEST_SIDE} px, '
                            'the largest image that OpenCV reads: correct it')
        return box, score


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


class DetectorBoxes:
    """Person boxes found by a detector of mmdet.

    Args:
        config: The detector's config file.
        checkpoint: The detector's weights.
        device: Device on which the detector runs, if mmcv's operators are built for it (see
            :func:`~mmpose_mspn.apis.load.detector_device`).
        name: Class whose boxes are used; of a detector with a single class, that one.

    Raises:
        MissingPackageError: mmdet is not installed.
        FileNotFoundError: A file is missing.
        DataError: The checkpoint belongs to another config, or the detector has several classes and none of that name.
    """

    def __init__(self, config: Union[str, Path], checkpoint: Union[str, Path], device: str, name: str = PERSON) -> None:
        try:
            from mmdet.apis import inference_detector, init_detector
        except ImportError as error:
            raise MissingPackageError(f'det_config needs mmdet ({error}): pip install "mmdet>=3.0,<3.4"') from error
        check_file('det_config', config)
        check_file('det_checkpoint', checkpoint)
        self._infer = inference_detector
        self._model = init_detector(str(config), str(checkpoint), device=detector_device(device))
        check_weights(self._model, checkpoint)
        self._scope = self._model.cfg.get('default_scope', 'mmdet')
        classes = list(self._model.dataset_meta['classes'])
        if name not in classes and len(classes) > 1:
            raise ConfigError(f'the detector of {config} has no class {name!r}, only {first_few(classes)}: take one '
                              'that has it, or that has a single class')
        self._label = classes.index(name) if name in classes else 0

    def __call__(self, frame: Frame) -> Boxes:
        # mmdet builds the pipeline at each call, and mmpose has other classes of the same names.
        with DefaultScope.overwrite_default_scope(self._scope):
            detections = self._infer(self._model, frame.image).pred_instances
        detections = detections[detections.labels == self._label]
        boxes = detections.bboxes.cpu().numpy().astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return boxes, detections.scores.cpu().numpy().astype(np.float64)


def select_boxes(boxes: np.ndarray, scores: np.ndarray, min_score: float,
                 shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray, int]:
    """Keep the boxes with a positive size, a part inside of the image and a score of at least ``min_score``.

    Args:
        boxes: (N, 4), x, y, width, height in image px.
        scores: (N,).
        min_score: Lowest score of a box that is kept.
        shape: Shape of the image.

    Returns:
        The kept boxes (M, 4), their scores (M,), and the number of boxes without a positive size or outside of the
        image.
    """
    shows = (boxes[:, 2:] > 0).all(1) & ~outside(boxes, shape)
    kept = shows & (scores >= min_score)
    return boxes[kept], scores[kept], int((~shows).sum())
