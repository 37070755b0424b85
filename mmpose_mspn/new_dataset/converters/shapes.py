"""Keypoints and boxes as labeling tools draw them, and the objects that they belong to."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.utils.numbers import VISIBLE

Box = Tuple[float, float, float, float]
"""x, y, width, height in px."""
DEFAULT_LABEL = 'object'
"""Category of keypoints that no box names."""


class Point(NamedTuple):
    """A keypoint of an image; ``group`` is the same for all shapes of an object, or ``None``."""
    label: str
    x: float
    y: float
    visible: int = VISIBLE
    group: object = None


class LabeledBox(NamedTuple):
    """A box of an image, whose label is the category of the object in it."""
    label: str
    box: Box
    group: object = None


class Instance(NamedTuple):
    """An object: its category, its keypoints by label, and its box if one was drawn."""
    label: str
    points: Dict[str, Point]
    box: Optional[Box] = None


class LabeledImage(NamedTuple):
    """An image and its objects. A size that is not known is ``None``."""
    file_name: str
    width: Optional[int]
    height: Optional[int]
    instances: List[Instance]


def group_shapes(points: Sequence[Point], boxes: Sequence[LabeledBox], image: str) -> List[Instance]:
    """The objects that the shapes of an image form.

    Shapes with a group belong together. A point without a group belongs to the one box around it, or, in an image
    without boxes and groups, to the one object of the image.

    Args:
        points: The keypoints.
        boxes: The boxes.
        image: The image, for messages.

    Raises:
        ValueError: It is not clear to which object a point belongs, or an object has a keypoint twice.
    """
    owners: Dict[object, List[Point]] = {}
    for point in points:
        owners.setdefault(_owner(point, boxes, image), []).append(point)
    instances = []
    by_key = {_key(index, box): box for index, box in enumerate(boxes)}
    for key, own in owners.items():
        labels = [point.label for point in own]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(f'image {image} has the keypoint {repeated[0]} more than once in an object: group the '
                             'shapes of each object in the labeling tool, or draw a box around each')
        box = by_key.get(key)
        label, corners = (box.label, box.box) if box else (DEFAULT_LABEL, None)
        instances.append(Instance(label, dict(zip(labels, own)), corners))
    return instances


def _owner(point: Point, boxes: Sequence[LabeledBox], image: str) -> object:
    """The group of a point, or the key of the box around it; ``None`` for the one object of an image."""
    if point.group is not None:
        return point.group
    around = [_key(index, box) for index, box in enumerate(boxes) if _contains(box.box, point)]
    if len(around) == 1:
        return around[0]
    if boxes:
        raise ValueError(f'image {image}: the keypoint {point.label} at {point.x:g}, {point.y:g} lies in {len(around)} '
                         'boxes, so its object is not clear: group it with the shapes of its object')
    return None


def _key(index: int, box: LabeledBox) -> object:
    """What the points of a box have as their owner."""
    return ('box', index) if box.group is None else box.group


def _contains(box: Box, point: Point) -> bool:
    x, y, width, height = box
    return x <= point.x <= x + width and y <= point.y <= y + height
