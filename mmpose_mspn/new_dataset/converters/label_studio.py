"""Annotations of Label Studio: its export "JSON", a list of tasks."""
from pathlib import PurePosixPath
from typing import Dict, List, Optional
from urllib.parse import parse_qs, unquote, urlparse

from mmpose_mspn.new_dataset.converters.shapes import LabeledBox, LabeledImage, Point, group_shapes
from mmpose_mspn.utils.errors import DataError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
POINTS, BOXES = 'keypointlabels', 'rectanglelabels'


def is_label_studio(content: object) -> bool:
    """Whether the content of a JSON file is an export of tasks."""
    return isinstance(content, list) and bool(content) and all(
        isinstance(task, dict) and 'data' in task and ('annotations' in task or 'completions' in task)
        for task in content)


def read_label_studio(tasks: List[dict]) -> List[LabeledImage]:
    """The images of the tasks, with the first annotation of each that was not canceled.

    A keypoint belongs to the rectangle that is its parent or that a relation joins it with; the others form objects
    as :func:`mmpose_mspn.new_dataset.converters.shapes.group_shapes` says. Coordinates are percents of the image.

    Raises:
        DataError: A task names no image or no size of it, or an object is not clear.
    """
    return [_image(task) for task in tasks]


def _image(task: dict) -> LabeledImage:
    name = _file_name(task)
    annotations = [entry for entry in task.get('annotations') or task.get('completions') or []
                   if not entry.get('was_cancelled')]
    results = annotations[0].get('result', []) if annotations else []
    shapes = [result for result in results if result.get('type') in (POINTS, BOXES)]
    if not shapes:
        return LabeledImage(name, None, None, [])
    (width, height), *others = {(shape.get('original_width'), shape.get('original_height')) for shape in shapes}
    if others or not (width and height):
        raise DataError(f'task {task.get("id")} does not give one size of image {name} in all of its regions: export '
                        'the project as JSON, not as JSON-MIN')
    parents = _parents(results)
    points, boxes = [], []
    for shape in shapes:
        value = shape['value']
        x, y = value['x'] / 100 * width, value['y'] / 100 * height
        if shape['type'] == POINTS:
            points.append(Point(_label(shape), x, y, group=parents.get(shape.get('id'))))
        else:
            box = (x, y, value['width'] / 100 * width, value['height'] / 100 * height)
            group = shape['id'] if shape.get('id') in parents.values() else None
            boxes.append(LabeledBox(_label(shape), box, group))
    return LabeledImage(name, width, height, group_shapes(points, boxes, name))


def _label(shape: dict) -> str:
    """The first label of a region."""
    labels = shape['value'].get(shape['type'])
    if not labels:
        raise DataError(f'region {shape.get("id")} has no label: label it, or delete it')
    return labels[0]


def _parents(results: List[dict]) -> Dict[str, str]:
    """By region: the rectangle that it belongs to."""
    rectangles = {result.get('id') for result in results if result.get('type') == BOXES}
    parents = {result['id']: result['parentID'] for result in results if result.get('parentID') in rectangles}
    for result in results:
        if result.get('type') == 'relation':
            ends = (result.get('from_id'), result.get('to_id'))
            for region, rectangle in (ends, ends[::-1]):
                if rectangle in rectangles and region not in rectangles:
                    parents.setdefault(region, rectangle)
    return parents


def _file_name(task: dict) -> str:
    """The path of the image in the task's data, without the server's part."""
    for value in task['data'].values():
        name = _path_of(value) if isinstance(value, str) else None
        if name is not None:
            return name
    raise DataError(f'task {task.get("id")} names no image ({", ".join(IMAGE_SUFFIXES)}) in its data')


def _path_of(address: str) -> Optional[str]:
    url = urlparse(address)
    local = parse_qs(url.query).get('d')  # of files that the server reads from a local folder
    path = PurePosixPath(local[0] if local else unquote(url.path))
    return str(path).lstrip('/') if path.suffix.lower() in IMAGE_SUFFIXES else None
