"""Loading of ImageNet weights into the encoders of a multi-stage network."""
from typing import Optional

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from .fit import compare_state_dicts

_CLASSIFIER = ('fc.', 'head.', 'neck.')


def load_imagenet(backbone: nn.Module, checkpoint: str, prefix: Optional[str] = None) -> None:
    """Load a classifier's weights into the stem and into the encoder of every stage of an MSPN backbone.

    Args:
        backbone: :class:`mmpose_mspn.models.MSPN`.
        checkpoint: File or URL, as in ``init_cfg``, in the layout of torchvision, or in that of mmpretrain with the
            prefix ``backbone.``.
        prefix: Prefix of the keys to load, without the final dot. The default is ``'backbone'`` if there are such keys.

    Raises:
        ValueError: Keys are missing, unexpected or of another shape. The message names them.
    """
    weights = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    weights = weights.get('state_dict', weights)
    if prefix is None and any(key.startswith('backbone.') for key in weights):
        prefix = 'backbone'
    if prefix:
        weights = {key[len(prefix) + 1:]: value for key, value in weights.items() if key.startswith(f'{prefix}.')}
    weights = {key: value for key, value in weights.items() if not key.startswith(_CLASSIFIER)}
    layers = tuple(f'{name}.' for name in backbone.stages[0].encoder)
    in_layers = {key: value for key, value in weights.items() if key.startswith(layers)}
    in_stem = {key: value for key, value in weights.items() if key not in in_layers}
    mismatches = {'stem': compare_state_dicts(in_stem, backbone.stem.state_dict())}
    for index, stage in enumerate(backbone.stages):
        mismatches[f'stages.{index}.encoder'] = compare_state_dicts(in_layers, stage.encoder.state_dict())
    if any(mismatches.values()):
        raise ValueError(f'{checkpoint} does not fit the encoder: '
                         + '; '.join(f'{part}: {found}' for part, found in mismatches.items() if found))
    backbone.stem.load_state_dict(in_stem, strict=False)
    for stage in backbone.stages:
        stage.encoder.load_state_dict(in_layers, strict=False)
    print_log(f'{checkpoint}: {len(in_stem)} tensors into the stem, {len(in_layers)} into each of '
              f'{len(backbone.stages)} encoders', 'current')
