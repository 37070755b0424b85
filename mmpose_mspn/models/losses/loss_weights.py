"""Checks of loss weights that configs give."""
from typing import Optional, Sequence, Tuple

from mmpose_mspn.utils.numbers import is_finite


def checked_weights(name: str, weights: Optional[Sequence[float]]) -> Optional[Tuple[float, ...]]:
    """``weights`` as a tuple; ``None`` stays ``None``.

    Args:
        name: The argument that gave them.
        weights: A list or tuple of numbers >= 0.

    Raises:
        ValueError: ``weights`` is not a list, is empty, or holds a value that is not a finite number >= 0.
    """
    if weights is None:
        return None
    if not isinstance(weights, (list, tuple)) or not weights or not all(is_finite(w) and w >= 0 for w in weights):
        raise ValueError(f'{name} must list at least one weight, each finite and >= 0, or be None, got {weights!r}')
    return tuple(weights)


def check_number_of_weights(name: str, weights: Optional[Tuple[float, ...]], number: int, of: str) -> None:
    """Refuse weights that are not one per ``of``, of which there are ``number``.

    Raises:
        ValueError: The numbers differ.
    """
    if weights is not None and len(weights) != number:
        raise ValueError(f'{name} must hold {number} weights, one per {of}, got {len(weights)}: {weights}')
