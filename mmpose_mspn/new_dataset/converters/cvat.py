"""Annotations of CVAT: its format "CVAT for images 1.1" (``annotations.xml``), read and written."""
from typing import Dict, List, Optional, Sequence, Tuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mmpose_mspn.new_dataset.converters.shapes import (
    Instance,
    LabeledBox,
    LabeledImage,
    Labels,
    Point,
    group_shapes,
)
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import NOT_LABELED, OCCLUDED, VISIBLE

ROOT_TAG = 'annotations'


def read_cvat(path: FilePath) -> Tuple[List[LabeledImage], Dict[str, Labels]]:
    """The images of a CVAT file, and its skeleton labels.

    Each skeleton is an object: a point that is outside counts as not labeled, an occluded one as occluded. A rectangle
    in the same group is its box. Points that belong to no skeleton form objects as
    :func:`mmpose_mspn.new_dataset.converters.shapes.group_shapes` says.

    Raises:
        DataError: The file is not of this format.
    """
    try:
        root = ElementTree.parse(str(path)).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f'{path} is not XML ({error}): export it again as "CVAT for images 1.1"') from error
    if root.tag != ROOT_TAG or root.find('image') is None:
        what = 'is a CVAT file of a video' if root.find('track') is not None else 'has no images of CVAT'
        raise DataError(f'{path} {what}: export it as "CVAT for images 1.1"')
    return [_image(image) for image in root.iter('image')], _skeletons(root)


def _image(image: Element) -> LabeledImage:
    name = image.get('name', '')
    boxes = [LabeledBox(box.get('label', ''), _corners(box), box.get('group_id')) for box in image.iter('box')]
    by_group = {box.group: box.box for box in boxes if box.group is not None}
    skeletons = image.findall('skeleton')
    instances = [
        Instance(skeleton.get('label', ''), {point.label: point for point in map(_point, skeleton.iter('points'))},
                 by_group.get(skeleton.get('group_id'))) for skeleton in skeletons]
    loose = [_point(point) for point in image.findall('points')]
    if not skeletons or loose:
        instances += group_shapes(loose, boxes, name)
    return LabeledImage(name, int(image.get('width', 0)) or None, int(image.get('height', 0)) or None, instances)


def _point(point: Element) -> Point:
    label, position = point.get('label', ''), point.get('points', '')
    try:
        x, y = (float(value) for value in position.split(';')[0].split(','))
    except ValueError as error:
        raise DataError(f'the point {label} has the position {position!r}, which must be x,y: export the file again'
                         ) from error
    visible = NOT_LABELED if point.get('outside') == '1' else OCCLUDED if point.get('occluded') == '1' else VISIBLE
    return Point(label, x, y, visible, point.get('group_id'))


def _corners(box: Element) -> Tuple[float, float, float, float]:
    left, top, right, bottom = (float(box.get(side, 0)) for side in ('xtl', 'ytl', 'xbr', 'ybr'))
    return left, top, right - left, bottom - top


def _skeletons(root: Element) -> Dict[str, Labels]:
    """By skeleton label: its points in order, and the edges that its drawing joins."""
    skeletons: Dict[str, Labels] = {}
    labels = list(root.iter('label'))
    for label in labels:
        if label.findtext('type') == 'skeleton':
            name = label.findtext('name', '')
            keypoints = [part.findtext('name', '') for part in labels if part.findtext('parent') == name]
            skeletons[name] = Labels(keypoints, _edges(label.findtext('svg') or '', keypoints))
    return skeletons


def _edges(svg: str, keypoints: Sequence[str]) -> List[Tuple[str, str]]:
    """Pairs of keypoints that the lines of a skeleton's drawing join; none if the drawing does not name its nodes."""
    try:
        drawing = ElementTree.fromstring(f'<svg>{svg}</svg>')
    except ElementTree.ParseError:
        return []
    nodes = {node.get('data-node-id'): node.get('data-label-name') for node in drawing.iter('circle')}
    ends = [(nodes.get(line.get('data-node-from')), nodes.get(line.get('data-node-to')))
            for line in drawing.iter('line')]
    return [pair for pair in ends if pair[0] in keypoints and pair[1] in keypoints]


def write_cvat(images: Sequence[LabeledImage], numbers: Optional[Sequence[int]] = None) -> bytes:
    """A file that CVAT takes as annotations of a task with these images: a skeleton for each object.

    Args:
        images: Images with their objects. The labels must be those of the task.
        numbers: Number of each image in the task; the default is their order.
    """
    root = Element(ROOT_TAG)
    ElementTree.SubElement(root, 'version').text = '1.1'
    for number, image in zip(numbers or range(len(images)), images):
        size = {} if image.width is None else dict(width=str(image.width), height=str(image.height))
        entry = ElementTree.SubElement(root, 'image', id=str(number), name=image.file_name, **size)
        for instance in image.instances:
            skeleton = ElementTree.SubElement(entry, 'skeleton', label=instance.label, source='auto', z_order='0')
            for point in instance.points.values():
                ElementTree.SubElement(
                    skeleton, 'points', label=point.label, source='auto', points=f'{point.x:.2f},{point.y:.2f}',
                    outside=str(int(point.visible == NOT_LABELED)), occluded=str(int(point.visible == OCCLUDED)))
    return ElementTree.tostring(root, encoding='utf-8', xml_declaration=True)
