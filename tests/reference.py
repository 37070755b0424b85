"""Recordings of the official code, and the weights and inputs that they were made with.

The figures in ``tests/data/official_mspn`` were recorded by running the official PyTorch code on the CPU in float32.
Its weights were drawn from each parameter's name and shape, so :func:`weights` rebuilds them here.
"""
import json
import zlib
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / 'data' / 'official_mspn'


def recording(name: str) -> 'np.lib.npyio.NpzFile':
    return np.load(DATA / f'{name}.npz')


def record(name: str) -> dict:
    return json.loads((DATA / f'{name}.json').read_text())


def _generator(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f'{text}:0'.encode()))


def image(key: str, shape: Tuple[int, ...]) -> Tensor:
    """Input of the recording ``network_<key>``, (1, 3, h, w), channels BGR."""
    return torch.from_numpy(_generator(f'image:{key}').normal(0, 1, shape).astype(np.float32))


def weights(shapes: Dict[str, Tuple[int, ...]]) -> Dict[str, Tensor]:
    """An official state dict with the recordings' values."""
    return {name: torch.from_numpy(_weight(name, tuple(shape))) for name, shape in shapes.items()}


def _weight(name: str, shape: Tuple[int, ...]) -> np.ndarray:
    draw = _generator(name)
    kind = name.rsplit('.', 1)[1]
    if kind == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    if kind == 'running_var' or (kind == 'weight' and len(shape) == 1):
        value = draw.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        value = draw.normal(0, 0.1, shape)
    else:
        value = draw.normal(0, (1.0 / np.prod(shape[1:]))**0.5, shape)
    return np.asarray(value, np.float32)
