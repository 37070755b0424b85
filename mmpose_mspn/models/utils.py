"""Functions that backbones, heads and pose estimators share: recomputation, resizing, copies."""
import copy
from contextlib import contextmanager, nullcontext
from typing import Iterator, Sequence

import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)
"""Whether torch.compile traces the code. torch 2.1 does not tell, and compiles a training step in several graphs."""

KNOWN_PACKAGES = {'torch', 'mmengine', 'mmcv', 'mmpose', 'mmpose_mspn'}
"""Packages in which the names of layers tell whether they draw random numbers."""


def recompute(module: nn.Module, *inputs):
    """The output of ``module``, whose activations are dropped and computed again in the backward pass.

    ``torch.utils.checkpoint`` alone would run every batch norm twice per step and update its running statistics twice.
    Here the second run does not update them; torch.compile, which sees both runs at once, does so by itself. The state
    of the random generators, which torch would copy for every module, is kept only for modules that may draw random
    numbers.

    Args:
        module: Any module.
        inputs: The arguments of its ``forward``.
    """
    if is_compiling():
        return checkpoint(module, *inputs, use_reentrant=False)
    return checkpoint(
        module,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=may_draw(module),
        context_fn=lambda: (nullcontext(), _frozen_statistics(module)))


def may_draw(module: nn.Module) -> bool:
    """Whether a module's ``forward`` may draw random numbers.

    The layers of torch and of OpenMMLab that do so are known by their names. Modules of other packages are assumed to
    do so.
    """
    return any(
        type(part).__module__.split('.')[0] not in KNOWN_PACKAGES
        or any(word in type(part).__name__.lower() for word in ('drop', 'shake', 'rrelu', 'gumbel', 'noise'))
        for part in module.modules())


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


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, H', W') to ``size`` (H, W). It has no branch, so that a module that calls it can be traced."""
    return F.interpolate(maps, size=size, mode='bilinear', align_corners=True)


def resize_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize`, without the work where the maps have that size already."""
    return maps if tuple(maps.shape[2:]) == tuple(size) else resize(maps, tuple(size))


def resize_heatmaps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize_to` with a faster backward pass on a CPU, for maps (B, K, H', W') that go to a loss.

    The gradient of a loss is contiguous. torch's backward pass of the resize is slow in that layout: with the copy to
    channels last, it takes half the time. A compiler chooses the layout itself.
    """
    resized = resize_to(maps, size)
    if resized is not maps and resized.requires_grad and resized.device.type == 'cpu' and not is_compiling():
        resized.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return resized


def shallow_copy(module: nn.Module) -> nn.Module:
    """The same weights and submodules, which can be replaced without a change to the original."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied
