"""Checkpoint files that run code when they are unpickled, which safe loading must refuse."""
import os
from pathlib import Path

import torch


class Planted:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


def plant(path: Path, weights: dict, **options) -> Path:
    """Save a checkpoint that holds a :class:`Planted` object and return the folder that must not appear.

    Args:
        path: The file.
        weights: State dict in the file.
        options: Options of ``torch.save``.
    """
    folder = path.with_suffix('.ran')
    torch.save(dict(state_dict=weights, meta=Planted(folder)), path, **options)
    return folder
