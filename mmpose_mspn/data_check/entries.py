"""Checks of the entries that annotation files consist of, whatever their format: boxes, keypoints."""
from typing import Callable, Sequence, Tuple

from mmpose_mspn.data_check.report import Report
from mmpose_mspn.utils.numbers import is_finite


def is_inside(x: float, y: float, size: Tuple[int, int], first: int = 0) -> bool:
    """Whether a point lies in an image.

    Args:
        x: px.
        y: px.
        size: (width, height) of the image. Its far edges belong to it.
        first: Number of the first pixel, 0 or 1.
    """
    return first <= x <= size[0] + first and first <= y <= size[1] + first


def check_keypoint(keypoint: Sequence[float], is_visibility: Callable[[float], bool], size: Tuple[int, int], first: int,
                   name: str, report: Report) -> None:
    """Check a keypoint.

    Args:
        keypoint: x, y in px, and visibility. The coordinates do not matter if visibility is 0.
        is_visibility: Whether a number is a visibility in this format.
        size: (width, height) of the image.
        first: Number of the image's first pixel, 0 or 1.
        name: What the report calls the keypoint.
        report: Collects the problems.
    """
    x, y, visible = keypoint
    if not is_visibility(visible):
        report.add('visibility out of range', f'{name} has {visible}')
    elif visible and not (is_finite(x, y) and is_inside(x, y, size, first)):
        report.add('keypoint outside the image', f'{name} at {(x, y)} in {size[0]} x {size[1]} px')


def check_box(box: Sequence[float], size: Tuple[int, int], name: str, report: Report) -> None:
    """Check that a box (x, y, width, height) in px overlaps the image of ``size`` (width, height)."""
    if len(box) < 4 or not is_finite(*box[:4]) or min(box[2:4]) <= 0:
        report.add('box without a positive size', f'{name}: {list(box)}')
    elif box[0] >= size[0] or box[1] >= size[1] or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        report.add('box outside the image', f'{name}: {box} in {size[0]} x {size[1]} px')
