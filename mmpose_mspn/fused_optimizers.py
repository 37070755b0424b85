"""Fused optimizers where the installed torch has none: below 2.4 on CPUs, and in 2.1 for SGD.

Configs and ``--fast`` ask for ``fused=True``, which torch then answers with an error. An optimizer that is not fused
takes the same steps, to rounding, in more time.
"""
import functools
import inspect
import logging
from typing import Any, Callable, Collection, Iterable, List, Union

import torch
from mmengine.logging import print_log
from torch import Tensor

FIRST_ON_CPUS = (2, 4)


def register_unfused_optimizers() -> None:
    """Let mmengine build torch's optimizers unfused where they cannot be fused. Newer torch is left as it is."""
    if torch.__version__ >= FIRST_ON_CPUS:
        return
    import mmengine.optim  # noqa: F401  registers them
    from mmengine.registry import OPTIMIZERS
    from torch.utils._foreach_utils import _get_fused_kernels_supported_devices
    for name, kind in list(OPTIMIZERS.module_dict.items()):
        if inspect.isclass(kind) and kind.__module__.startswith('torch.optim.'):
            builder = fused_where_possible(kind, _get_fused_kernels_supported_devices())
            OPTIMIZERS.register_module(name, force=True, module=builder)


def fused_where_possible(kind: type, devices: Collection[str]) -> Callable:
    """A function that builds an optimizer and takes ``fused=True`` as a wish.

    Args:
        kind: The optimizer's class.
        devices: Types of the devices for which torch can fuse it, if it has an argument ``fused``.
    """
    takes_fused = 'fused' in inspect.signature(kind).parameters

    @functools.wraps(kind, updated=())
    def build(params: Iterable[Union[Tensor, dict]], *arguments: Any, fused: Any = None, **options: Any) -> Any:
        params = [dict(one, params=_as_list(one['params'])) if isinstance(one, dict) else one for one in params]
        tensors = [tensor for one in params for tensor in (one['params'] if isinstance(one, dict) else [one])]
        if fused and not (takes_fused and all(tensor.device.type in devices for tensor in tensors)):
            print_log(f'{kind.__name__} is not fused, because torch {torch.__version__} cannot fuse it here: steps '
                      'take longer', 'current', logging.WARNING)
            fused = None
        return kind(params, *arguments, **options, **(dict(fused=fused) if takes_fused else {}))

    return build


def _as_list(params: Union[Tensor, Iterable[Tensor]]) -> List[Tensor]:
    return [params] if isinstance(params, Tensor) else list(params)
