"""Whether weights fill a module."""
from typing import List, Mapping

from torch import Tensor


def misfits(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> List[str]:
    """What keeps ``weights`` from filling a module whose ``state_dict`` is ``own``.

    Returns:
        A line for each kind of problem, which names all its keys; none if the weights fit.
    """
    # Files older than the counter lack it; nothing but a log depends on it.
    missing = [key for key in own if key not in weights and not key.endswith('num_batches_tracked')]
    unexpected = [key for key in weights if key not in own]
    shapes = [f'{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}' for key in own
              if key in weights and weights[key].shape != own[key].shape]
    found = (('missing', missing), ('unexpected', unexpected), ('of another shape', shapes))
    return [f'{what} {", ".join(keys)}' for what, keys in found if keys]
