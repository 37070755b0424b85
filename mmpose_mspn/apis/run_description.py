"""What a run of predictions depends on, so that no two runs are mixed in one file or in one folder of drawings."""
import hashlib
import json
from pathlib import Path
from typing import Dict, Mapping, Optional, Union

from mmengine.config import Config

from .drawing import Drawer
from .inputs import Images, Video


def describe_run(frames: Union[Images, Video], cfg: Optional[Config],
                 files: Mapping[str, Optional[Union[str, Path]]], options: Mapping[str, object]) -> Dict[str, object]:
    """Plain values that are equal for two runs, on whatever machines, whose predictions may be mixed.

    Args:
        frames: The source, of which the names and the sizes of the files count.
        cfg: Config of the model, of which the model, the pipeline that makes the crops, and the category of the boxes
            count.
        files: Files by the name of the option, of which the content counts. ``None`` where none is given.
        options: Options that change the predictions or the drawings.
    """
    paths = [frames.path] if isinstance(frames, Video) else frames.paths
    source = [f'{path.name} {path.stat().st_size if path.exists() else "gone"}' for path in paths]
    parts = None
    if cfg is not None:
        dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        parts = _digest(repr((cfg.get('model'), dataset.get('pipeline'), cfg.get('category'))))
    hashes = {name: _hash(path) for name, path in files.items()}
    return dict(source=_digest('\n'.join(source)), config=parts, **hashes, **options)


def describe_drawings(drawer: Drawer) -> Dict[str, object]:
    """Plain values that are equal for two drawers that draw the same."""
    return dict(metainfo=_digest(json.dumps(drawer.meta, sort_keys=True, default=_plain)),
                visualizer=_digest(json.dumps(drawer.settings, sort_keys=True, default=_plain)))


def _plain(value: object) -> object:
    """A value that JSON has, for one that it lacks: an array, a number of numpy, a set or an object."""
    return value.tolist() if hasattr(value, 'tolist') else sorted(value) if isinstance(value, set) else str(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(path: Optional[Union[str, Path]]) -> Optional[str]:
    if path is None or not Path(path).is_file():  # a missing file is refused where it is read
        return None
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
