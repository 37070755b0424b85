"""COCO files from the objects of labeling tools."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.new_dataset.converters.shapes import Instance, LabeledImage
from mmpose_mspn.utils.numbers import NOT_LABELED


class Labels(NamedTuple):
    """What a labeling tool knows of a category: its keypoints in order, and the pairs of them that lines join."""
    keypoints: List[str]
    links: List[Tuple[str, str]] = []


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
        ValueError: There are no objects, or a keypoint is not one of ``keypoints``.
    """
    categories = _categories(images, known or {}, keypoints)
    if not categories:
        raise ValueError('the file holds no keypoints: export the annotations, not only the images')
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
                        raise ValueError(f'image {image.file_name} has a keypoint {label}, which --keypoints does not '
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
