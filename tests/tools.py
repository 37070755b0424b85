"""Loads the files in tools/, which are scripts and no package."""
import importlib
import sys
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).parents[1] / 'tools'


def load_tool(name: str) -> ModuleType:
    """The module of ``tools/<name>.py``; it finds the files beside it, as it does when it runs as a script."""
    sys.path.insert(0, str(TOOLS))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(TOOLS))
    if Path(module.__file__).parent != TOOLS:
        raise ImportError(f'{name} was imported from {module.__file__}, not from {TOOLS}: another module has its name')
    return module
