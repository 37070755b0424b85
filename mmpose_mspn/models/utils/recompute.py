"""Gradient checkpointing that does not change the result of training."""
from contextlib import contextmanager, nullcontext
from typing import Iterator

from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(module: nn.Module, *inputs):
    """The output of ``module``, whose activations are dropped and computed again in the backward pass.

    ``torch.utils.checkpoint`` alone would run every batch norm twice per step and update its running statistics twice.
    Here the second run does not update them.

    Args:
        module: Any module.
        inputs: The arguments of its ``forward``.
    """
    return checkpoint(
        module, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(module)))


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """A context in which running statistics are not updated."""
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
