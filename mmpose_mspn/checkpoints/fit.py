"""Whether weights fit a module."""
from collections import OrderedDict
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmpose_mspn.utils.errors import CheckpointError

from .convert import find_state_dict, unpack

SHOWN = 3
"""Number of weights that an error message names."""


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


def refuse_incomplete_weights(checkpoint: Mapping, model: nn.Module, name: object) -> None:
    """Check that a checkpoint has all weights of a model, and that they are finite. It may have more.

    Args:
        checkpoint: Content of the file, as for :func:`compare_with_model`.
        model: The model.
        name: Name of the file, for the message.

    Raises:
        CheckpointError: Weights are missing, have other shapes than the model's, or are NaN or infinite.
    """
    refuse_non_finite(checkpoint, name)
    mismatches = _compare(checkpoint, model, name)
    wrong = [*mismatches.missing, *mismatches.shapes]
    if wrong:
        raise CheckpointError(
            f'checkpoint {name} does not fill the model: {len(wrong)} weights are missing or have another shape '
            f'({shorten(wrong)}): take the config it was trained with, or convert it with tools/convert_checkpoint.py')


def refuse_other_models(checkpoint: Mapping, model: nn.Module, name: object) -> None:
    """Check that a checkpoint has the weights of a model and no others, and that they are finite.

    Raises:
        CheckpointError: It does not.
    """
    refuse_non_finite(checkpoint, name)
    mismatches = _compare(checkpoint, model, name)
    wrong = [*mismatches.missing, *mismatches.shapes, *mismatches.unexpected]
    if wrong:
        raise CheckpointError(
            f'checkpoint {name} is of another model and cannot be resumed: {len(wrong)} weights are missing, '
            f'unexpected or of another shape ({shorten(wrong)}): resume with the config it was trained with, or start '
            'a new training from its weights with load_from')


def describe_carried(checkpoint: Mapping, model: nn.Module, name: object) -> str:
    """Describe which weights of a model come from a checkpoint that need not fill it, as in a fine-tuning.

    Returns:
        One line with the numbers and names of the weights that are carried over, and of those that are not.

    Raises:
        CheckpointError: No weight fits, or weights are NaN or infinite.
    """
    refuse_non_finite(checkpoint, name)
    mismatches = _compare(checkpoint, model, name)
    own = [key for key in model.state_dict() if not key.endswith('num_batches_tracked')]
    fresh = [*mismatches.missing, *mismatches.shapes]
    carried = len(own) - len(fresh)
    if not carried:
        held = list(unpack(checkpoint))
        raise CheckpointError(
            f'checkpoint {name} holds nothing of the model: it has {shorten(held) or "no weights"}, the model has '
            f'{shorten(own)}: take a checkpoint of such a model; ImageNet weights belong into '
            'model.backbone.init_cfg')
    text = f'{name}: {carried} of {len(own)} weights are carried over'
    for what, keys in (('missing', mismatches.missing), ('of another shape', mismatches.shapes),
                       ('not in the model', mismatches.unexpected)):
        if keys:
            text += f'; {len(keys)} {what}: {", ".join(keys)}'
    return text + ('; the missing and misshapen ones keep their initial values' if fresh else '')


def fill(model: nn.Module, checkpoint: Mapping) -> None:
    """Load the weights that fit; the model's hooks rename keys of other layouts and of earlier versions."""
    weights = OrderedDict(unpack(checkpoint))
    weights._metadata = getattr(find_state_dict(checkpoint), '_metadata', {})  # the versions, which hooks read
    model.load_state_dict(weights, strict=False)


def is_non_finite(value: object) -> bool:
    """Whether a value of a checkpoint is a tensor that holds NaN or an infinite number."""
    return isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())


def refuse_non_finite(checkpoint: Mapping, name: object) -> None:
    """Check that the weights of a checkpoint are finite.

    Raises:
        CheckpointError: Weights are NaN or infinite, or it is not a dict of weights.
    """
    if not isinstance(checkpoint, Mapping) or not all(isinstance(key, str) for key in find_state_dict(checkpoint)):
        raise CheckpointError(f'checkpoint {name} holds a {type(checkpoint).__name__} without names of weights: take a '
                              'checkpoint')
    bad = [key for key, value in unpack(checkpoint).items() if is_non_finite(value)]
    if bad:
        raise CheckpointError(f'checkpoint {name} holds weights that are NaN or infinite ({len(bad)}: {shorten(bad)}): '
                              'take an earlier one')


def _compare(checkpoint: Mapping, model: nn.Module, name: object) -> Mismatches:
    try:
        return compare_with_model(checkpoint, model)
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # Hooks that rename keys fail in many ways with weights that are not theirs.
        raise CheckpointError(f'checkpoint {name} is not of this model ({str(error).splitlines()[0][:200]}): take the '
                              'config it was trained with') from error


def shorten(keys: Sequence[str]) -> str:
    """The first names of a list, joined, with an ellipsis if there are more."""
    return ', '.join(keys[:SHOWN]) + (', …' if len(keys) > SHOWN else '')
