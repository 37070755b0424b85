"""Gradient checkpointing that leaves training as it is."""
from contextlib import contextmanager, nullcontext
from typing import Iterator

from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(module: nn.Module, *inputs):
    """Run ``module`` and drop its activations, to be computed again in the backward pass.

    The plain way runs every batch norm twice and so moves its running statistics twice a step. Here the second run
    leaves them alone.
    """
    return checkpoint(
        module, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(module)))


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept):
            norm.momentum, norm.num_batches_tracked = momentum, count
