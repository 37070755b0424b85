"""What labeling tools leave out of COCO files, filled in."""
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np

from mmpose_mspn.data_check.coco import check_coordinates
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.new_dataset.coco_file import Category, ImageFolder
from mmpose_mspn.utils.arguments import FEW
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import CODES, NOT_LABELED, is_finite, is_id

AREA_OF_BOX = 0.53
"""Area of an object as a share of its box, where a file does not give it: mmpose's value."""
MARGIN = 0.1
"""Margin of a box that is made from keypoints, as a share of the longer side of their extent."""
TIGHT = 0.5
"""A box whose sides are that close to the extent of the keypoints, in px, was made from them without a margin."""
SAME_AREA = 1e-3
"""Relative difference of areas that rounding explains."""


@dataclass
class RepairedFile:
    """The objects of a category and their images, complete.

    Attributes:
        images: Entries with an integer ``id``, ``file_name`` below the folder of images, ``width`` and ``height``.
        annotations: Complete entries; those with ``num_keypoints`` > 0 and ``iscrowd`` 0 can be trained on.
        filled_in: What was filled in or changed, and how often.
        left_out: What was left out, and how often.
    """
    images: List[dict]
    annotations: List[dict]
    filled_in: Dict[str, int] = field(default_factory=Counter)
    left_out: Dict[str, int] = field(default_factory=Counter)

    @property
    def objects(self) -> List[dict]:
        """The annotations that can be trained on."""
        return [entry for entry in self.annotations if entry['num_keypoints'] and not entry['iscrowd']]


def repair(content: dict, path: FilePath, category: Category, folder: ImageFolder,
           skip_broken: bool = False) -> RepairedFile:
    """Complete the annotations of a category.

    Args:
        skip_broken: Whether to leave out what cannot be repaired instead of refusing it.

    Raises:
        DataError: An annotation or an image cannot be repaired. The first few are named.
    """
    repaired = RepairedFile([], [])
    problems: List[str] = []
    people: List[dict] = []
    images = _images_by_id(content)
    entries = [entry for entry in content['annotations'] if isinstance(entry, dict)]
    in_category = [entry for entry in entries if entry.get('category_id') == category.id]
    repaired.left_out['annotations of other categories'] += len(entries) - len(in_category)
    used_ids = Counter(entry.get('id') for entry in in_category)
    next_id = 1 + max(filter(is_id, used_ids), default=0)
    last_image_id = max(filter(is_id, images), default=0)
    complete_images: Dict[object, Optional[dict]] = {}
    for entry in in_category:
        name = entry.get('id')
        image_id = entry.get('image_id')
        try:
            if image_id not in images:
                raise DataError(f'annotation {name} is of image {image_id}, which images does not list')
            if image_id not in complete_images:
                number = last_image_id + len(complete_images) + 1
                complete_images[image_id] = _complete_image(images[image_id], number, folder, repaired)
            image = complete_images[image_id]
            if image is None:
                continue
            annotation = _complete_annotation(entry, category, image, repaired)
        except DataError as error:
            problems.append(str(error))
            if str(error).startswith('image '):  # named once, not for each of its annotations
                complete_images[image_id] = None
            continue
        if annotation is None:
            repaired.left_out['annotations without keypoints'] += 1
            continue
        if not is_id(name) or used_ids[name] > 1:
            used_ids[name] -= 1
            annotation['id'], next_id = next_id, next_id + 1
            repaired.filled_in['annotation ids that were missing or repeated'] += 1
        repaired.annotations.append(annotation)
        if not annotation['iscrowd']:
            people.append(_as_given(entry, annotation))
    if problems and not skip_broken:
        more = f' (and {len(problems) - FEW} more)' if len(problems) > FEW else ''
        raise DataError(f'{path} has {len(problems)} entries that cannot be repaired: {"; ".join(problems[:FEW])}'
                        f'{more}. Correct them in the labeling tool, or leave them out with --skip-broken')
    repaired.left_out['entries that cannot be repaired'] += len(problems)
    repaired.images = [image for image in complete_images.values() if image is not None]
    raise_first(check_coordinates(people, {image['id']: image for image in repaired.images}, True, str(path)))
    return repaired


def _as_given(entry: dict, annotation: dict) -> dict:
    """A complete annotation with the box that the file gives, if it gives one."""
    fields = {name: annotation[name] for name in ('image_id', 'keypoints')}
    return fields if _annotated_box(entry) is None else dict(fields, bbox=entry['bbox'])


def _images_by_id(content: dict) -> Dict[object, dict]:
    """The entries of images; the earlier one counts where two share an id."""
    images: Dict[object, dict] = {}
    for entry in content['images']:
        if isinstance(entry, dict) and entry.get('id') is not None:
            images.setdefault(entry['id'], entry)
    return images


def _complete_image(entry: dict, number: int, folder: ImageFolder, repaired: RepairedFile) -> dict:
    """The entry with an integer id, a path that leads to the file, and a size."""
    file_name = entry.get('file_name')
    if not isinstance(file_name, str) or not file_name:
        raise DataError(f'image {entry["id"]} has no file_name')
    path = folder.find(file_name)
    if path is None:
        raise DataError(f'image {file_name} is not in {folder.folder}')
    image = dict(entry, file_name=path)
    if path != file_name:
        repaired.filled_in['images found in other folders than named'] += 1
    if not is_id(entry['id']):
        image['id'] = number
        repaired.filled_in['image ids that were not integers'] += 1
    if not is_finite(image.get('width'), image.get('height')) or min(image['width'], image['height']) <= 0:
        size = folder.size(path)
        if size is None:
            raise DataError(f'image {file_name} has no width and height, and does not open')
        image['width'], image['height'] = size
        repaired.filled_in['image sizes'] += 1
    return image


def _complete_annotation(entry: dict, category: Category, image: dict, repaired: RepairedFile) -> Optional[dict]:
    """The complete annotation, or ``None`` if it has no keypoints."""
    keypoints = _keypoints(entry, category, image, repaired)
    if keypoints is None:
        return None
    labeled = keypoints[keypoints[:, 2] > NOT_LABELED]
    box = _box(entry, labeled[:, :2], image, repaired)
    if box is None:
        return None
    annotation = dict(
        entry,
        image_id=image['id'],
        category_id=category.written_id,
        keypoints=[value for x, y, visible in keypoints.tolist() for value in (x, y, int(visible))],
        bbox=box,
        num_keypoints=len(labeled),
        iscrowd=int(bool(entry.get('iscrowd'))))
    for key in ('iscrowd', 'num_keypoints'):
        if entry.get(key) != annotation[key]:
            repaired.filled_in[key] += 1
    if not is_finite(entry.get('area')) or entry['area'] <= 0 or _is_of_replaced_box(entry, box):
        annotation['area'] = AREA_OF_BOX * box[2] * box[3]
        repaired.filled_in['area'] += 1
    return annotation


def _keypoints(entry: dict, category: Category, image: dict, repaired: RepairedFile) -> Optional[np.ndarray]:
    """(K, 3) of x, y and visibility; ``None`` if there are none."""
    values = entry.get('keypoints')
    if not values:
        return None
    name, count = f'annotation {entry.get("id")}', len(category.keypoints)
    if not isinstance(values, list) or len(values) != 3 * count:
        raise DataError(f'{name} has {len(values)} values for {count} keypoints, which need {3 * count}')
    if not is_finite(*values):
        raise DataError(f'{name} has keypoints that are not finite numbers')
    keypoints = np.array(values, float).reshape(-1, 3)
    wrong = sorted(set(keypoints[:, 2].tolist()) - set(CODES))
    if wrong:
        raise DataError(f'{name} has visibility {wrong[0]:g}, which must be 0 (not labeled), 1 (occluded) or 2 '
                        '(visible)')
    position = keypoints[:, :2]
    outside = ((position < 0) | (position > [image['width'], image['height']])).any(1) & (keypoints[:, 2] > NOT_LABELED)
    if outside.any():
        keypoints[outside, 2] = NOT_LABELED
        repaired.filled_in['keypoints outside their image, now not labeled'] += int(outside.sum())
    return keypoints


def _box(entry: dict, labeled: np.ndarray, image: dict, repaired: RepairedFile) -> Optional[List[float]]:
    """The box (x, y, width, height) inside the image; ``None`` for an object without labeled keypoints and box.

    CVAT writes the extent of the keypoints as the box, which is empty if they lie on a line. Such a box, too, is made
    again with a margin.
    """
    size = np.array([image['width'], image['height']], float)
    annotated = _annotated_box(entry)
    extent = np.array([labeled.min(0), labeled.max(0)]) if len(labeled) else None
    is_tight = (annotated is not None and extent is not None and len(labeled) > 1
                and np.abs(annotated - extent).max() <= TIGHT)
    if annotated is not None and not is_tight:
        inside = np.clip(annotated, 0, size)
        if (inside[1] > inside[0]).all():
            if np.array_equal(inside, annotated):
                return [float(value) for value in entry['bbox']]
            repaired.filled_in['boxes that left their image'] += 1
            return _xywh(inside)
    if extent is None:
        return None
    margin = MARGIN * (extent[1] - extent[0]).max()
    if margin == 0:
        raise DataError(f'annotation {entry.get("id")} has no box, and its labeled keypoints lie at one point, which '
                        'gives none')
    repaired.filled_in['boxes, from the keypoints'] += 1
    return _xywh(np.clip(extent + [[-margin], [margin]], 0, size))


def _is_of_replaced_box(entry: dict, box: List[float]) -> bool:
    """Whether the area is that of a box which another one has replaced, as CVAT writes it."""
    if box == entry.get('bbox') or _annotated_box(entry) is None:
        return False
    return math.isclose(entry['area'], entry['bbox'][2] * entry['bbox'][3], rel_tol=SAME_AREA)


def _annotated_box(entry: dict) -> Optional[np.ndarray]:
    """Corners (2, 2) of the annotated box, or ``None``."""
    values = entry.get('bbox')
    if not isinstance(values, list) or len(values) != 4 or not is_finite(*values):
        return None
    return np.array([values[:2], [values[0] + values[2], values[1] + values[3]]], float)


def _xywh(corners: np.ndarray) -> List[float]:
    return [float(value) for value in (*corners[0], *(corners[1] - corners[0]))]
