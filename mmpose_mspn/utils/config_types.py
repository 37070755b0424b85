"""The types that config dicts name."""
from typing import Mapping


def type_name(config: Mapping) -> str:
    """Name of the class that a config dict builds, without its scope; empty if it names none.

    A config may give the class itself in place of its name.
    """
    named = config.get('type')
    return named.split('.')[-1] if isinstance(named, str) else getattr(named, '__name__', '')
