"""The config of a head's loss."""
from typing import Optional, Union

from mmpose_mspn.utils.config_types import registered_class

FROM_LOSS = 'from_loss'
"""Default of a head's ``ohkm_topk``: the loss keeps its own value. ``None`` cannot say so, as it stands for no OHKM."""

TopK = Union[int, str, None]
"""``ohkm_topk`` of a head: a number, ``None`` or :data:`FROM_LOSS`."""


def loss_config(loss: Optional[dict], default: type, **given: object) -> dict:
    """Config of the loss that a head trains with.

    Args:
        loss: The head's ``loss``, in which ``type`` may be missing.
        default: Class of the loss where ``loss`` names none, registered in ``mmpose_mspn``.
        given: Arguments of the default loss that were given to the head. They replace those in ``loss``;
            :data:`FROM_LOSS` replaces nothing.

    Raises:
        ValueError: The head was given an argument of the default loss, but ``loss`` is of another class.
    """
    config = {'type': f'mmpose_mspn.{default.__name__}', **(loss or {})}
    given = {name: value for name, value in given.items() if value != FROM_LOSS}
    if given and registered_class(config['type']) is not default:
        raise ValueError(f'{" and ".join(given)} of the head can only be given with a {default.__name__}: remove it '
                         f'from the head, and write the arguments of {config["type"]!r} in loss')
    return {**config, **given}
