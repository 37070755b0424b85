"""Coordinates that are in another unit or form than COCO's, which no single entry shows, but all of a file do."""
from typing import Dict, List, Sequence, Tuple

from mmpose_mspn.datasets.problems import Add

BEYOND = 1.1
"""Boxes that reach further than this share of the image's width or height are counted as reaching beyond it."""
FEWEST_KEYPOINTS = 3
"""Labeled keypoints that a file must have so that their unit can be told."""


def are_corners(boxes: Sequence[Sequence[float]], sizes: Sequence[Tuple[float, float]]) -> bool:
    """Whether boxes must be x1, y1, x2, y2 and not x, y, width, height.

    As two corners all of them lie in their images, and as x, y, width and height at least half of them reach far beyond
    these.

    Args:
        boxes: Four finite numbers each, in px.
        sizes: Width and height of each box's image in px.
    """
    beyond = 0
    for (left, top, right, bottom), (width, height) in zip(boxes, sizes):
        if not (0 <= left < right <= width + 1 and 0 <= top < bottom <= height + 1):
            return False
        beyond += left + right > BEYOND * width or top + bottom > BEYOND * height
    return 2 * beyond >= len(boxes) > 0


def are_shares(coordinates: Sequence[float]) -> bool:
    """Whether coordinates must be shares of the image's sides: all are 0 to 1, and not all of them whole."""
    return len(coordinates) > 0 and min(coordinates) >= 0 and max(coordinates) <= 1 and any(
        value % 1 for value in coordinates)


def check_coordinates(people: Sequence[dict], images: Dict[int, dict], has_keypoints: bool, file: str,
                      add: Add) -> None:
    """Check the boxes and keypoints of all people of an annotation file.

    Args:
        people: Annotations that are sound one by one, of images in ``images``.
        images: The images by id.
        has_keypoints: Whether the field ``keypoints`` of the annotations has been checked.
        file: What messages call the file.
        add: Takes each problem.
    """
    boxed = [person for person in people if 'bbox' in person]
    boxes = [person['bbox'] for person in boxed]
    points: List[float] = []
    if has_keypoints:
        for person in people:
            values = person.get('keypoints', ())
            points += [value for index in range(0, len(values), 3) if values[index + 2]
                       for value in values[index:index + 2]]
            if points and max(points) > 1:
                break
    if are_shares([value for box in boxes for value in box]):
        add('coordinates as shares of the image', f'{file}: the numbers of all {len(boxes)} boxes are 0 to 1')
    elif len(points) >= 2 * FEWEST_KEYPOINTS and are_shares(points):
        add('coordinates as shares of the image', f'{file}: the coordinates of all keypoints are 0 to 1')
    else:
        check_corners(boxes, [_size(images[person['image_id']]) for person in boxed], file, add)


def check_corners(boxes: Sequence[Sequence[float]], sizes: Sequence[Tuple[float, float]], file: str, add: Add) -> None:
    """Check that the boxes of a file are x, y, width and height; see :func:`are_corners`."""
    if are_corners(boxes, sizes):
        add('boxes of two corners', f'{file}: all {len(boxes)} boxes lie in their images as x1, y1, x2, y2, and most '
            'reach beyond them as x, y, width, height')


def _size(image: dict) -> Tuple[float, float]:
    return image['width'], image['height']
