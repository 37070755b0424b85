"""Inputs on a GPU, and what waits for it."""
import warnings
from contextlib import contextmanager
from typing import Iterator, List

import torch
from torch import Tensor

from tests.building import samples
from tests.families import FLIP, INPUT

SHOWN = 'called a synchronizing CUDA operation'
"""Part of torch's warning of a wait."""


def people(device: str, batch: int = 4) -> list:
    """Samples with labels on a device."""
    return [sample.to(device) for sample in samples(batch, flip_indices=FLIP)]


def crops(batch: int = 4) -> Tensor:
    """(B, 3, h, w) on the CPU."""
    return torch.randn(batch, 3, *INPUT[::-1])


@contextmanager
def waits() -> Iterator[List[str]]:
    """The list of waits of the host for the GPU within the context, as torch sees them."""
    found: List[str] = []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter('always')
            yield found
        found.extend(str(one.message) for one in shown if SHOWN in str(one.message))
    finally:
        torch.cuda.set_sync_debug_mode('default')
