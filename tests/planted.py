"""A file that runs code when it is unpickled: what safe loading must refuse."""
import os
from pathlib import Path

import torch


class Planted:
    """Unpickled without care, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


def plant(path: Path, weights: dict, **options) -> Path:
    """Save a checkpoint with such an object in it; the folder that must not appear."""
    folder = path.with_suffix('.ran')
    torch.save(dict(state_dict=weights, meta=Planted(folder)), path, **options)
    return folder
