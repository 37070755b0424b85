"""Schedules of the learning rate in checkpoints."""
from typing import List, Mapping, Optional

import numpy as np

PROGRESS = {'last_step', 'base_values', 'verbose'}
"""Where a schedule stands, which differs between a checkpoint and a new run; so do names with an underscore."""

KINDS = (int, float, str, list, Mapping)
"""Types of settings."""


def other_schedule(states: List[Mapping], schedulers: list) -> Optional[str]:
    """How the schedule that a resumed run takes over from its checkpoint differs from that of its config.

    mmengine restores all settings of the schedulers from the checkpoint, and where a config gives no ``end``, it is the
    number of iterations or epochs of the run that wrote the checkpoint. A training that is resumed with another length
    has therefore another learning rate than one that had this length from the start.

    Args:
        states: The schedulers' states in the checkpoint.
        schedulers: The run's schedulers, as many.

    Returns:
        The differences of the first scheduler that has some, as a sentence, ``None`` if there is none.
    """
    for state, scheduler in zip(states, schedulers):
        settings = {name: own for name, own in vars(scheduler).items()
                    if not name.startswith('_') and name not in PROGRESS and isinstance(own, KINDS)}
        differ = [f'{name}={state[name]} (the config: {own})' for name, own in settings.items()
                  if name in state and not np.array_equal(state[name], own)]
        if differ:
            return f'{type(scheduler).__name__} continues with the checkpoint\'s {", ".join(differ)}'
    return None
