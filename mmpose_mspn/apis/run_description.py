"""What a run of predictions depends on, so that no two runs are mixed in one file."""
import hashlib
from pathlib import Path
from typing import Dict, Mapping, Optional, Union

from mmengine.config import Config

from .inputs import Images, Video


def describe_run(frames: Union[Images, Video], cfg: Optional[Config],
                 files: Mapping[str, Optional[Union[str, Path]]], options: Mapping[str, object]) -> Dict[str, object]:
    """Plain values that are equal for two runs, on whatever machines, whose predictions may be mixed.

    Args:
        frames: The source, of which the names of the images count, or the name and the size of the video.
        cfg: Config of the model, of which the model and the pipeline that makes the crops count.
        files: Files by the name of the option, of which the content counts. ``None`` where none is given.
        options: Options that change the predictions.
    """
    if isinstance(frames, Video):
        source = [frames.path.name, str(frames.path.stat().st_size)]
    else:
        source = [path.name for path in frames.paths]
    parts = None
    if cfg is not None:
        dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        parts = _digest(repr((cfg.get('model'), dataset.get('pipeline'))))
    hashes = {name: _hash(path) for name, path in files.items()}
    return dict(source=_digest('\n'.join(source)), config=parts, **hashes, **options)


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
