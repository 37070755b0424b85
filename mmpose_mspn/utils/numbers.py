"""Checks of numbers that come out of files."""
from math import isfinite


def is_finite(*values: object) -> bool:
    """Whether all are numbers, neither infinite nor NaN. ``True`` and ``False`` are not numbers here."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) for value in values)
