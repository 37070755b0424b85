"""Checkpoint files: safe reading, atomic writing and conversion between layouts."""
import io
import os
from pathlib import Path
from typing import Dict, Mapping, Optional

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmpose_mspn.utils.errors import CheckpointError
from mmpose_mspn.utils.files import FilePath, write_atomically

from .convert import convert, recognize, unpack
from .embedded_config import config_text, embedded_config
from .implied import check_complete


def read_checkpoint(path: FilePath) -> dict:
    """Return the content of a checkpoint file, on the CPU, without running code from the file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is truncated, is not a checkpoint, or holds objects that are not weights.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist: name a file that does')
    # Registered by mmpose_mspn.checkpoint_loaders, which runs no code from the file.
    return dict(CheckpointLoader.load_checkpoint(os.path.abspath(path), map_location='cpu', logger='silent'))


def save_checkpoint(checkpoint: Mapping, path: FilePath, force: bool = False) -> None:
    """Write a checkpoint atomically.

    Args:
        checkpoint: Content of the file.
        path: The file.
        force: Whether to overwrite an existing file.

    Raises:
        FileExistsError: ``path`` exists and ``force`` is not set.
    """
    refuse_to_overwrite(path, force)
    with io.BytesIO() as buffer:
        torch.save(dict(checkpoint), buffer)
        write_atomically(path, buffer.getvalue())


def refuse_to_overwrite(path: FilePath, force: bool) -> None:
    """Raise FileExistsError if ``path`` exists and ``force`` is not set."""
    if os.path.exists(path) and not force:
        raise FileExistsError(f'{path} exists: choose another name, or overwrite it with --force')


def weights_of(checkpoint: Mapping, path: FilePath) -> Dict[str, Tensor]:
    """Return the state dict of a checkpoint that was read from ``path``.

    Raises:
        CheckpointError: It has no weights, or not all of them are tensors.
    """
    weights = unpack(checkpoint)
    others = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if not weights or others:
        what = f'values that are not tensors among the weights: {", ".join(others)}' if weights else 'no weights'
        raise CheckpointError(f'{path} holds {what}')
    return weights


def convert_file(source: FilePath, target: FilePath, to: str = 'mmpose_mspn', config: Optional[FilePath] = None,
                 force: bool = False) -> int:
    """Convert a checkpoint file of MSPN, or of RSN with an MSPN head, to another layout.

    Args:
        source: File in any layout that :func:`mmpose_mspn.checkpoints.convert` recognizes.
        target: File to write. It holds ``model`` in the official layout, as the official code reads it, and otherwise
            ``state_dict`` and ``meta`` with the source's ``dataset_meta``, if it has one, and with the text of
            ``config`` or, where the layout stays what it is, with the parts of the source's config that predictions
            need.
        to: Layout of ``target``.
        config: Config of the model that the weights must fill. The default is the model that the keys imply.
        force: Whether to overwrite ``target``.

    Returns:
        Number of tensors written.

    Raises:
        FileExistsError: ``target`` exists and ``force`` is not set.
        FileNotFoundError: ``source`` or ``config`` does not exist.
        CheckpointError: ``source`` is not a checkpoint, its layout is not recognized, or weights are missing,
            unexpected or of another shape. The message names them all, and nothing is written.
    """
    refuse_to_overwrite(target, force)
    checkpoint = read_checkpoint(source)
    weights = weights_of(checkpoint, source)
    try:
        converted = convert(weights, to)
        check_complete(weights, config)
    except ValueError as error:
        raise CheckpointError(f'{source}: {error}') from error
    meta = checkpoint.get('meta') or {}
    kept = {'dataset_meta': meta['dataset_meta']} if 'dataset_meta' in meta else {}
    if config is not None:
        kept['cfg'] = config_text(config)
    elif recognize(weights) == to:
        kept.update(_needed_config(checkpoint, source))
    # torch.save writes the whole storage of a tensor, also for a view of a part of it.
    converted = {key: value.contiguous() for key, value in converted.items()}
    save_checkpoint(dict(model=converted) if to == 'official' else dict(meta=kept, state_dict=converted), target, force)
    return len(converted)


def _needed_config(checkpoint: Mapping, path: FilePath) -> Dict[str, str]:
    """``cfg``, the text of the parts of a checkpoint's config that predictions need; nothing if it has none."""
    try:
        found = embedded_config(checkpoint, path)
    except CheckpointError:
        return {}
    return {} if found is None else dict(cfg=config_text(Config(found)))
