"""What a run puts into its checkpoints besides weights can be loaded again without running code from the file."""
import enum
import os
import tempfile
from collections import Counter, OrderedDict
from functools import partial
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any

import torch
from mmengine.runner import CheckpointLoader, Runner

from mmpose_mspn.utils.errors import CheckpointError

_FUNCTIONS = (FunctionType, MethodType, partial)


def as_plain(value: Any) -> Any:
    """Return nested values with configs, paths, named tuples and members of enumerations as plain Python values.

    Functions are left out of dicts: schedulers keep them in their state, and set them again when they are built.
    """
    if isinstance(value, enum.Enum):
        return as_plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dict):
        kind = type(value) if type(value) in (OrderedDict, Counter) else dict
        return kind({as_plain(key): as_plain(item) for key, item in value.items() if not isinstance(item, _FUNCTIONS)})
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return kind(as_plain(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return set(value)
    return value


def check_loadable(runner: Runner) -> None:
    """Check before a training that its checkpoints can be loaded again: the part of them that holds no weights.

    Raises:
        CheckpointError: A value would make every checkpoint unreadable. The message names it.
    """
    meta = getattr(runner.train_dataloader.dataset, 'metainfo', None)
    parts = {'the metainfo of the train dataset': meta}
    parts.update((f'{name!r} in the message hub', value) for name, value in runner.message_hub.runtime_info.items()
                 if runner.message_hub._resumed_keys.get(name))
    schedulers = runner.param_schedulers if isinstance(runner.param_schedulers, list) else []
    parts.update((f'the state of {type(one).__name__}', one.state_dict()) for one in schedulers)
    for name, value in parts.items():
        error = _unloadable(as_plain(value))
        if error:
            raise CheckpointError(f'{name} holds values that no checkpoint can be loaded with ({error}): write them as '
                                  'numbers, strings, lists, dicts or numpy arrays')


def _unloadable(value: Any) -> str:
    """Why a value cannot be loaded from a checkpoint again; empty if it can."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'value.pth')
        try:
            torch.save(dict(value=value), path)
            CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
        except Exception as error:  # pickle raises errors of many classes
            return str(error).replace(path, '').splitlines()[0].strip()
    return ''
