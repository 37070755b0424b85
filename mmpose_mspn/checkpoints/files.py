"""Checkpoint files: read without running code, written whole or not at all, converted with nothing lost."""
import io
import os
import pickle
import re
from pathlib import Path
from typing import Dict, Mapping, Optional

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmpose_mspn.utils.files import FilePath, write_atomically

from .convert import convert, unpack
from .implied import check_complete


class CheckpointError(ValueError):
    """A file that is no checkpoint, is not safe to load, or does not hold all weights of its model."""


def read_checkpoint(path: FilePath) -> dict:
    """Content of a checkpoint file, on the CPU. Only weights are unpickled (``weights_only``): no code runs.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It ends early, is no checkpoint, or holds more than weights.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist: name a file that does')
    try:
        # compat makes this loader, through which all of mmengine loads, safe on every torch.
        loaded = CheckpointLoader.load_checkpoint(os.path.abspath(path), map_location='cpu', logger='silent')
    except MemoryError:
        raise
    except Exception as error:
        # What a damaged file raises depends on where it is damaged: RuntimeError, EOFError, KeyError …
        raise CheckpointError(f'{path} {_reason(error)}') from error
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f'{path} holds a {type(loaded).__name__}, not the dict of a checkpoint')
    return dict(loaded)


def _reason(error: Exception) -> str:
    planted = re.search(r'GLOBAL ([\w.]+)', str(error))
    if isinstance(error, pickle.UnpicklingError) and planted:
        return (f'holds more than weights ({planted[1]}), which loading would have to run as code: it was not loaded. '
                'Save the weights alone where the file comes from')
    return f'is no checkpoint, or only a part of one: {(str(error).splitlines() or [type(error).__name__])[0][:160]}'


def save_checkpoint(checkpoint: Mapping, path: FilePath, force: bool = False) -> None:
    """``torch.save``, atomically.

    Raises:
        FileExistsError: ``path`` exists and ``force`` is not set.
    """
    refuse_to_overwrite(path, force)
    with io.BytesIO() as buffer:
        torch.save(dict(checkpoint), buffer)
        write_atomically(path, buffer.getvalue())


def refuse_to_overwrite(path: FilePath, force: bool) -> None:
    """Raise FileExistsError, which says how to go on, if ``path`` exists and ``force`` is not set."""
    if os.path.exists(path) and not force:
        raise FileExistsError(f'{path} exists: choose another name, or overwrite it with --force')


def weights_of(checkpoint: Mapping, path: FilePath) -> Dict[str, Tensor]:
    """The weights of a read checkpoint, without its wrappers.

    Raises:
        CheckpointError: It has none, or something among them is no tensor.
    """
    weights = unpack(checkpoint)
    others = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if not weights or others:
        what = f'{", ".join(others)} among the weights: no tensors' if weights else 'no weights'
        raise CheckpointError(f'{path} holds {what}')
    return weights


def convert_file(source: FilePath, target: FilePath, to: str = 'mmpose_mspn', config: Optional[FilePath] = None,
                 force: bool = False) -> int:
    """Bring a checkpoint file of MSPN, or of RSN with mmpose's head, into another layout.

    Args:
        source: File in any layout that :func:`mmpose_mspn.checkpoints.convert` knows.
        target: File to write: ``state_dict`` and ``meta`` (the keypoints' names, where the source had them), or
            ``model`` for the official layout, as the official code reads it.
        to: Layout of ``target``.
        config: The model that the weights must fill. Without it: the model that the keys imply.
        force: Overwrite ``target``.

    Returns:
        Number of tensors written.

    Raises:
        FileExistsError: See ``force``.
        FileNotFoundError: There is no ``source`` or no ``config``.
        CheckpointError: ``source`` is no checkpoint, or its layout is not recognized, or it lacks weights, or has some
            too many or in another shape: all are named, and nothing is written.
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
    # Contiguous: what was flipped or sliced must not bring its whole storage along.
    converted = {key: value.contiguous() for key, value in converted.items()}
    save_checkpoint(dict(model=converted) if to == 'official' else dict(meta=kept, state_dict=converted), target, force)
    return len(converted)
