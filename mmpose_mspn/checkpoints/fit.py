"""Whether weights fit a module."""
from dataclasses import dataclass
from typing import Dict, List, Mapping

from torch import Tensor, nn

from .convert import find_state_dict, unpack


@dataclass(frozen=True)
class Mismatches:
    """What keeps weights from filling a module; false in a condition if nothing does.

    Attributes:
        missing: Keys of the module that the weights lack.
        unexpected: Keys of the weights that the module lacks.
        shapes: Keys of both with different shapes, each followed by the shape of the weights and of the module.
    """
    missing: List[str]
    unexpected: List[str]
    shapes: List[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def __str__(self) -> str:
        found = (('missing', self.missing), ('unexpected', self.unexpected), ('of another shape', self.shapes))
        return '; '.join(f'{what} {", ".join(keys)}' for what, keys in found if keys)


def compare_state_dicts(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mismatches:
    """Compare the keys and shapes of weights with those of a module.

    The norms' ``num_batches_tracked`` may be missing: old files lack this counter, which no result depends on.

    Args:
        weights: State dict to be loaded.
        expected: ``state_dict()`` of the module.
    """
    return Mismatches(
        missing=[key for key in expected if key not in weights and not key.endswith('num_batches_tracked')],
        unexpected=[key for key in weights if key not in expected],
        shapes=[f'{key} {tuple(weights[key].shape)} for {tuple(value.shape)}' for key, value in expected.items()
                if key in weights and weights[key].shape != value.shape])


def compare_with_model(checkpoint: Mapping, model: nn.Module) -> Mismatches:
    """Compare a checkpoint in any form that ``model`` can load with ``model``.

    Args:
        checkpoint: Content of a checkpoint file.
        model: Model whose hooks rename keys before loading, such as mmpose's estimators and heads (keys of earlier
            versions) and :class:`~mmpose_mspn.models.pose_estimators.TopdownPoseEstimator` (other layouts).

    Raises:
        ValueError: A hook cannot convert the weights.
    """
    return compare_state_dicts(_renamed_by_hooks(checkpoint, model), model.state_dict())


def _renamed_by_hooks(checkpoint: Mapping, model: nn.Module) -> Dict[str, Tensor]:
    """Weights under the names that the modules of ``model`` look up, which their load hooks may change."""
    versions = getattr(find_state_dict(checkpoint), '_metadata', {})
    weights = unpack(checkpoint)
    for name, module in model.named_modules():
        prefix = f'{name}.' if name else ''
        for hook in module._load_state_dict_pre_hooks.values():
            own = {key: weights.pop(key) for key in list(weights) if key.startswith(prefix)}
            hook(own, prefix, versions.get(name, {}), True, [], [], [])
            weights.update(own)
    return {key: value for key, value in weights.items() if isinstance(value, Tensor)}
