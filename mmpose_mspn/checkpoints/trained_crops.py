"""The crops that a checkpoint's model was trained on, by the config that it carries."""
from typing import Mapping, Optional, Tuple

from torch import nn

from .embedded_config import parse_plain


def other_crops(checkpoint: Mapping, model: nn.Module, name: object) -> Optional[str]:
    """Say that a model takes crops of another size than a checkpoint was trained on.

    The weights of a convolutional network fit crops of any size, but its predictions are only as good on those of its
    training.

    Args:
        checkpoint: Content of the file.
        model: The model that takes the weights.
        name: Name of the file, for the message.

    Returns:
        A sentence; ``None`` if the sizes are the same, or one of them is not known.
    """
    trained = _input_size(checkpoint)
    decoder = getattr(getattr(model, 'head', None), 'decoder', None)
    own = getattr(decoder, 'input_size', None)
    if trained is None or own is None or tuple(trained) == tuple(own):
        return None
    return (f'checkpoint {name} was trained on crops of {trained[0]} x {trained[1]} px, but the config\'s codec has '
            f'input_size {own[0]} x {own[1]}: predictions are best on crops of the training\'s size')


def _input_size(checkpoint: Mapping) -> Optional[Tuple[int, int]]:
    """``input_size`` of the codec in the config that a checkpoint carries."""
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    try:
        width, height = parse_plain(text, ('model', ))['model']['head']['decoder']['input_size']
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None
