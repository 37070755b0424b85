"""Refusal of arguments and names that do not exist, with what was probably meant."""
import functools
import inspect
from difflib import get_close_matches
from typing import Callable, Iterable, Mapping, Optional

from mmpose_mspn.utils.errors import UnknownArgumentError

FEW = 5
"""Number of items that an error message names."""
LONGEST_VALUE = 80
"""Number of characters at which an error message cuts a value."""


def near_matches(name: str, known: Iterable[str]) -> str:
    """The known names that resemble ``name``, as an ending of an error message; all of them if they are few.

    Returns:
        Such as ``"; did you mean 'backbone'?"``; empty if there is nothing to show.
    """
    known = sorted(set(map(str, known)))
    matches = get_close_matches(str(name), known, n=3)
    if matches:
        return f'; did you mean {" or ".join(map(repr, matches))}?'
    return f'; there are {", ".join(known)}' if 0 < len(known) <= 12 else ''


def first_few(items: Iterable, count: int = FEW) -> str:
    """The first items, separated by commas, followed by "…" if there are more."""
    items = [str(item) for item in items]
    return ', '.join(items[:count]) + (', …' if len(items) > count else '')


def truncate(value: object) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f'{text[:LONGEST_VALUE]}…'


def refuse_unknown_arguments(hints: Optional[Mapping[str, str]] = None) -> Callable:
    """Decorator of an ``__init__`` that answers an unknown keyword argument with what to write instead.

    Args:
        hints: By the name of an argument of a related class, such as mmpose's class of the same name, what replaces it.

    Raises:
        UnknownArgumentError: When the class is built with such an argument. It is a ``TypeError``, as without the
            decorator, and a ``ValueError``.
    """

    def decorate(init: Callable) -> Callable:
        known = list(inspect.signature(init).parameters)[1:]

        @functools.wraps(init)
        def checked(self, *args, **kwargs) -> None:
            for name in kwargs:
                if name not in known and type(self).__init__ is checked:
                    hint = (hints or {}).get(name)
                    remedy = f': {hint} (docs/migrate.md)' if hint else near_matches(name, known)
                    raise UnknownArgumentError(f'{type(self).__name__} has no argument {name!r}{remedy}')
            init(self, *args, **kwargs)

        return checked

    return decorate
