"""The weight files that a config names are there and can be read, before the run starts."""
from typing import Iterator

from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import distributed

from mmpose_mspn.engine.launched import is_first_process


def check_weight_files(cfg: Config, initializes: bool) -> None:
    """Read the weight files that a run starts from: ``load_from``, and those of ``init_cfg`` in the model.

    Files with a URL, such as ImageNet weights, are downloaded if they are not on this machine. In a distributed run
    the first process does this.

    Args:
        cfg: Config of the run.
        initializes: Whether the run applies ``init_cfg``. A training does; a test takes all weights from its
            checkpoint, and must not need ImageNet weights.

    Raises:
        FileNotFoundError: A file does not exist.
        CheckpointError: A file is not a checkpoint, is not safe to load, or cannot be downloaded.
    """
    # The loaders of downloads wait for all processes where there is a process group.
    if not is_first_process(cfg) and not (distributed.is_available() and distributed.is_initialized()):
        return
    names = [*(_pretrained(cfg.get('model')) if initializes else []),
             *([cfg.load_from] if cfg.get('load_from') else [])]
    for name in dict.fromkeys(names):
        CheckpointLoader.load_checkpoint(name, map_location='cpu', logger='silent')


def _pretrained(node: object) -> Iterator[str]:
    """Checkpoints in the ``init_cfg`` of a model's config and of its parts."""
    if isinstance(node, dict):
        if node.get('type') == 'Pretrained' and isinstance(node.get('checkpoint'), str):
            yield node['checkpoint']
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _pretrained(value)
