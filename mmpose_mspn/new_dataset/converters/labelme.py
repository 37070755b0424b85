"""Annotations of labelme: a JSON file beside each image."""
from pathlib import Path
from typing import List

from mmpose_mspn.new_dataset.converters.shapes import LabeledBox, LabeledImage, Point, group_shapes
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath, read_json
from mmpose_mspn.utils.numbers import OCCLUDED, VISIBLE

OCCLUDED_FLAG = 'occluded'
"""A flag of a point that says that it is hidden."""


def is_labelme(content: object) -> bool:
    """Whether the content of a JSON file is that of an image in labelme."""
    return isinstance(content, dict) and isinstance(content.get('shapes'), list) and 'imagePath' in content


def labelme_files(path: FilePath) -> List[Path]:
    """The file, or the JSON files of a folder and its sub-folders in order."""
    path = Path(path)
    return sorted(path.rglob('*.json')) if path.is_dir() else [path]


def read_labelme(path: FilePath) -> List[LabeledImage]:
    """The images of a file, or of all files of labelme in a folder.

    Points are keypoints, rectangles are boxes, and other shapes are ignored. Shapes with the same group id form an
    object; the others do as :func:`mmpose_mspn.new_dataset.converters.shapes.group_shapes` says. A point with the flag
    ``occluded`` is occluded.

    Raises:
        DataError: No file is labelme's, or an object is not clear.
    """
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    images = []
    for file in labelme_files(path):
        content = read_json('file', file)
        if is_labelme(content):
            images.append(_image(content, file.parent.relative_to(root)))
    if not images:
        raise DataError(f'{path} holds no file of labelme, a JSON object with shapes and imagePath')
    return images


def _image(content: dict, folder: Path) -> LabeledImage:
    name = (folder / str(content['imagePath']).replace('\\', '/')).as_posix()
    points, boxes = [], []
    for shape in content['shapes']:
        corners, group = shape.get('points') or [], shape.get('group_id')
        if shape.get('shape_type') == 'point' and corners:
            hidden = (shape.get('flags') or {}).get(OCCLUDED_FLAG)
            points.append(Point(shape['label'], *corners[0], OCCLUDED if hidden else VISIBLE, group))
        elif shape.get('shape_type') == 'rectangle' and len(corners) > 1:
            (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*corners))
            boxes.append(LabeledBox(shape['label'], (left, top, right - left, bottom - top), group))
    return LabeledImage(name, content.get('imageWidth'), content.get('imageHeight'), group_shapes(points, boxes, name))
