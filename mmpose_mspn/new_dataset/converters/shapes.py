"""Keypoints and boxes as labeling tools draw them, the objects that they belong to, and COCO files of these."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE

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


class Labels(NamedTuple):
    """What a labeling tool knows of a category: its keypoints in order, and the pairs of them that lines join."""
    keypoints: List[str]
    links: List[Tuple[str, str]] = []


def group_shapes(points: Sequence[Point], boxes: Sequence[LabeledBox], image: str) -> List[Instance]:
    """The objects that the shapes of an image form.

    Shapes with a group belong together. A point without a group belongs to the one box around it, or, in an image
    without boxes and groups, to the one object of the image.

    Args:
        points: The keypoints.
        boxes: The boxes.
        image: The image, for messages.

    Raises:
        DataError: It is not clear to which object a point belongs, or an object has a keypoint twice.
    """
    owners: Dict[object, List[Point]] = {}
    for point in points:
        owners.setdefault(_owner(point, boxes, image), []).append(point)
    instances = []
    by_key = {_key(index, box): box for index, box in enumerate(boxes)}
    for key, owned in owners.items():
        labels = [point.label for point in owned]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise DataError(f'image {image} has the keypoint {repeated[0]} more than once in an object: group the '
                            'shapes of each object in the labeling tool, or draw a box around each')
        box = by_key.get(key)
        label, corners = (box.label, box.box) if box else (DEFAULT_LABEL, None)
        instances.append(Instance(label, dict(zip(labels, owned)), corners))
    return instances


def _owner(point: Point, boxes: Sequence[LabeledBox], image: str) -> object:
    """The group of a point, or the key of the box around it; ``None`` for the one object of an image."""
    if point.group is not None:
        return point.group
    around = [_key(index, box) for index, box in enumerate(boxes) if _contains(box.box, point)]
    if len(around) == 1:
        return around[0]
    if boxes:
        raise DataError(f'image {image}: the keypoint {point.label} at {point.x:g}, {point.y:g} lies in {len(around)} '
                        'boxes, so its object is not clear: group it with the shapes of its object')
    return None


def _key(index: int, box: LabeledBox) -> object:
    """What the points of a box have as their owner."""
    return ('box', index) if box.group is None else box.group


def _contains(box: Box, point: Point) -> bool:
    x, y, width, height = box
    return x <= point.x <= x + width and y <= point.y <= y + height


def coco_file(images: Sequence[LabeledImage], known: Optional[Dict[str, Labels]] = None,
              keypoints: Optional[Sequence[str]] = None) -> dict:
    """The content of a COCO file with keypoints.

    Boxes that nobody drew, areas and counts are left to :func:`mmpose_mspn.new_dataset.repair.repair`.

    Args:
        images: Images with their objects.
        known: By category: what the tool knows of it. The keypoints of other categories are those that occur, in the
            order in which they do.
        keypoints: Names of the keypoints of every category, in their order.

    Raises:
        DataError: There are no objects, or a keypoint is not one of ``keypoints``.
    """
    categories = _categories(images, known or {}, keypoints)
    if not categories:
        raise DataError('the file holds no keypoints: export the annotations, not only the images')
    annotations = [
        _annotation(instance, number, categories) for number, image in enumerate(images, start=1)
        for instance in image.instances]
    for number, annotation in enumerate(annotations, start=1):
        annotation['id'] = number
    ids = {name: number for number, name in enumerate(categories, start=1)}
    return dict(
        images=[_image(image, number) for number, image in enumerate(images, start=1)],
        annotations=[{**annotation, 'category_id': ids[annotation['category_id']]} for annotation in annotations],
        categories=[
            dict(id=ids[name], name=name, keypoints=labels.keypoints, skeleton=[
                [1 + labels.keypoints.index(start), 1 + labels.keypoints.index(end)] for start, end in labels.links
            ]) for name, labels in categories.items()])


def _categories(images: Sequence[LabeledImage], known: Dict[str, Labels],
                keypoints: Optional[Sequence[str]]) -> Dict[str, Labels]:
    categories: Dict[str, Labels] = {}
    for image in images:
        for instance in image.instances:
            first = Labels(list(keypoints)) if keypoints else known.get(instance.label) or Labels([], [])
            labels = categories.setdefault(instance.label, first)
            for label in instance.points:
                if label not in labels.keypoints:
                    if keypoints:
                        raise DataError(f'image {image.file_name} has a keypoint {label}, which --keypoints does not '
                                        f'name ({" ".join(keypoints)}): add it')
                    labels.keypoints.append(label)
    return categories


def _image(image: LabeledImage, number: int) -> dict:
    entry = dict(id=number, file_name=image.file_name)
    return entry if image.width is None else dict(entry, width=image.width, height=image.height)


def _annotation(instance: Instance, image: int, categories: Dict[str, Labels]) -> dict:
    values: List[float] = []
    for label in categories[instance.label].keypoints:
        point = instance.points.get(label)
        values += [0, 0, NOT_LABELED] if point is None else [point.x, point.y, point.visible]
    return dict(image_id=image, category_id=instance.label, keypoints=values, bbox=list(instance.box or (0, 0, 0, 0)),
                num_keypoints=sum(visible > NOT_LABELED for visible in values[2::3]), iscrowd=0)
