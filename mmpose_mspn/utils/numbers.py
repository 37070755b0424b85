"""Numbers that come out of files: their checks, and COCO's codes for the visibility of a keypoint."""
from math import isfinite
from typing import Optional, Sequence, Tuple

import numpy as np

NOT_LABELED = 0
OCCLUDED = 1
VISIBLE = 2
CODES = (NOT_LABELED, OCCLUDED, VISIBLE)
"""The codes of visibility. These numbers are defined nowhere else."""
ID_LIMIT = 2**63
"""Ids are below it, because numpy holds them as 64-bit integers."""


def is_finite(*values: object) -> bool:
    """Whether all are numbers, neither infinite nor NaN. ``True`` and ``False`` are not numbers here.

    An integer that no float can hold counts as infinite.
    """
    try:
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
                   for value in values)
    except OverflowError:
        return False


def are_finite(values: Sequence) -> bool:
    """:func:`is_finite` for a list out of a JSON file, many times faster."""
    try:
        return set(map(type, values)) <= {int, float} and all(map(isfinite, values))
    except OverflowError:
        return False


def is_integer(value: object) -> bool:
    """Whether a value is an integer of Python or numpy. ``True`` and ``False`` are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_id(value: object) -> bool:
    """Whether a value can be the id of an image, an annotation or a category: an integer from 0."""
    return type(value) is int and 0 <= value < ID_LIMIT


def as_numbers(value: object, shape: Tuple[int, ...]) -> Optional[np.ndarray]:
    """A float32 array of this shape from nested lists, or ``None`` if they hold anything but finite numbers."""
    def fits(part: object, sizes: Tuple[int, ...]) -> bool:
        if not sizes:
            return is_finite(part)
        return isinstance(part, (list, tuple)) and len(part) == sizes[0] and all(fits(p, sizes[1:]) for p in part)

    if not fits(value, shape):
        return None
    array = np.array(value, np.float64).astype(np.float32)
    return array if np.isfinite(array).all() else None
