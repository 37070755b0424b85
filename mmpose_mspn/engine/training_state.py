"""The state of a training in a checkpoint, its optimizer's and its schedules', and how a resumed run takes it over."""
from itertools import chain
from typing import Dict, List, Mapping, Optional

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor
from torch.optim import Optimizer

from mmpose_mspn.checkpoints.fit import is_non_finite
from mmpose_mspn.utils.arguments import first_few
from mmpose_mspn.utils.errors import CheckpointError

IMPLEMENTATION = ('fused', 'foreach', 'capturable', 'differentiable')
"""Options of torch's optimizers that choose how a step is computed, and not what it computes."""
_ALGORITHM_OPTIONS = {
    'momentum', 'dampening', 'nesterov', 'betas', 'eps', 'amsgrad', 'alpha', 'centered', 'rho', 'lr_decay',
    'momentum_decay', 'etas', 'step_sizes', 'lambd', 't0'}
"""Options by which torch's optimizers differ."""
_ADAMW = 'decoupled_weight_decay'
"""By this option alone AdamW differs from Adam, in torch 2.7 and later."""
_OF_SOME_VERSIONS = {_ADAMW, 'maximize', 'initial_accumulator_value'}
"""Options that only some versions of torch write."""
PROGRESS = {'last_step', 'base_values', 'verbose'}
"""Where a schedule stands, which differs between a checkpoint and a new run; so do names with an underscore."""
SETTINGS = (int, float, str, list, Mapping)
"""Types of a schedule's settings."""


def refuse_other_optimizers(state: dict, optimizer: Optimizer, name: object) -> None:
    """Check that an optimizer's state in a checkpoint belongs to such an optimizer with such parameters.

    Args:
        state: ``state_dict`` of an optimizer, or of mmengine's wrapper around it.
        name: Name of the checkpoint, for the message.

    Raises:
        CheckpointError: It belongs to an optimizer of another class, or to other parameters, or is NaN or infinite.
    """
    difference = _difference(state, optimizer)
    if difference:
        raise CheckpointError(
            f'checkpoint {name} cannot be resumed with this optimizer, {type(optimizer).__name__}: {difference}: '
            'resume with the config it was trained with, or start a new training from its weights with load_from')
    for index, moments in state['state'].items():
        for key, value in moments.items():
            if is_non_finite(value):
                raise CheckpointError(f'checkpoint {name} cannot be resumed: {key} of parameter {index} in its '
                                      'optimizer state is NaN or infinite: take an earlier one')


def _difference(state: dict, optimizer: Optimizer) -> Optional[str]:
    if not isinstance(state, dict) or not {'state', 'param_groups'} <= state.keys():
        return 'its optimizer state is not one of torch'
    groups = state['param_groups']
    sizes, run_sizes = ([len(group['params']) for group in side] for side in (groups, optimizer.param_groups))
    if sizes != run_sizes:
        return (f'it has parameter groups of {first_few(sizes, 3)} parameters, the run has groups of '
                f'{first_few(run_sizes, 3)}')
    defaults = optimizer.defaults
    for group in groups:
        differing = set(defaults) ^ (set(group) & (set(defaults) | _ALGORITHM_OPTIONS))
        differing -= {*IMPLEMENTATION, *_OF_SOME_VERSIONS}
        if group.get(_ADAMW, defaults.get(_ADAMW)) != defaults.get(_ADAMW, group.get(_ADAMW)):
            differing.add(_ADAMW)
        if differing:
            return f'its state was written by another one (they differ in {", ".join(sorted(differing))})'
    for index, parameter in _numbered(state, optimizer).items():
        for key, value in state['state'].get(index, {}).items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                return (f'{key} of parameter {index} has the shape {tuple(value.shape)}, the parameter has '
                        f'{tuple(parameter.shape)}')
    return None


def _numbered(state: dict, optimizer: Optimizer) -> Dict[int, Tensor]:
    """The optimizer's parameters by their numbers in a state."""
    numbers = chain.from_iterable(group['params'] for group in state['param_groups'])
    return dict(zip(numbers, chain.from_iterable(group['params'] for group in optimizer.param_groups)))


def adapt(state: dict, wrapper: OptimWrapper) -> None:
    """Change an optimizer's state in place so that the run's own options remain in effect when it is loaded.

    torch takes the options of the implementation (``fused``, …) and the strides of the moments from the state. A run
    that is resumed with other options would compute with those of the checkpoint, or, where the strides do not fit the
    parameters, take the moments' elements in the wrong order.

    Args:
        state: ``state_dict`` of mmengine's wrapper, as for :func:`refuse_other_optimizers`.
    """
    for group, run_group in zip(state['param_groups'], wrapper.optimizer.param_groups):
        for key in IMPLEMENTATION:
            if key in run_group:
                group[key] = run_group[key]
            else:
                group.pop(key, None)
    for index, parameter in _numbered(state, wrapper.optimizer).items():
        if index in state['state']:
            state['state'][index] = _laid_out(state['state'][index], parameter)
    if not state.get('loss_scaler', True):  # of a disabled scaler, which an enabled one refuses
        del state['loss_scaler']


def lay_out_like_parameters(optimizer: Optimizer) -> None:
    """Give the moments of an optimizer the strides of their parameters."""
    for parameter, state in optimizer.state.items():
        optimizer.state[parameter] = _laid_out(state, parameter)


def _laid_out(state: dict, parameter: Tensor) -> dict:
    return {key: _with_strides(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape
            and value.dim() else value for key, value in state.items()}


def _with_strides(value: Tensor, like: Tensor) -> Tensor:
    if value.stride() == like.stride():
        return value
    return torch.empty_like(like, dtype=value.dtype, device=value.device, requires_grad=False).copy_(value)


def options_mismatch(state: dict, optimizer: Optimizer) -> Optional[str]:
    """How the options that a resumed run takes over from its checkpoint differ from those of its config.

    torch restores the learning rate, the weight decay and all other options of an optimizer with its state.

    Args:
        state: As for :func:`refuse_other_optimizers`, of an optimizer of this class.
        optimizer: The run's optimizer.

    Returns:
        The differences as a sentence, ``None`` if there is none.
    """
    differ = {}
    for group, run_group in zip(state['param_groups'], optimizer.param_groups):
        for key in sorted({*optimizer.defaults, 'initial_lr'} - {*IMPLEMENTATION}):
            if key == 'lr' and 'initial_lr' in group:  # a schedule has changed it
                continue
            if key in group and key in run_group and not np.array_equal(group[key], run_group[key]):
                differ[f'{key.replace("initial_", "")}={group[key]} (the config: {run_group[key]})'] = None
    if not differ:
        return None
    return f'{type(optimizer).__name__} continues with the checkpoint\'s {first_few(differ, 3)}'


def schedule_mismatch(states: List[Mapping], schedulers: list) -> Optional[str]:
    """How the schedule that a resumed run takes over from its checkpoint differs from that of its config.

    mmengine restores all settings of the schedulers from the checkpoint, and where a config gives no ``end``, it is the
    number of iterations or epochs of the run that wrote the checkpoint. A training that is resumed with another length
    has therefore another learning rate than one that had this length from the start.

    Args:
        schedulers: The run's schedulers, as many.

    Returns:
        The differences of the first scheduler that has some, as a sentence, ``None`` if there is none.
    """
    for state, scheduler in zip(states, schedulers):
        settings = {name: value for name, value in vars(scheduler).items()
                    if not name.startswith('_') and name not in PROGRESS and isinstance(value, SETTINGS)}
        differ = [f'{name}={state[name]} (the config: {value})' for name, value in settings.items()
                  if name in state and not np.array_equal(state[name], value)]
        if differ:
            return f'{type(scheduler).__name__} continues with the checkpoint\'s {", ".join(differ)}'
    return None
