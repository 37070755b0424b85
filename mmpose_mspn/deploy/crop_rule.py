"""How a config's test pipeline cuts the crop of a box, in the numbers that an exported model carries."""
from typing import List, Sequence

import numpy as np
from mmengine.config import Config

from mmpose_mspn.utils.config_types import type_name

KEEP_CROPS = ('LoadImage', 'LoadVisibility', 'KeypointConverter', 'GenerateTarget', 'PackPoseInputs')
"""Steps that change neither the box nor the crop."""


def box_padding(cfg: Config, input_size: Sequence[int]) -> List[float]:
    """The factors of a box's (width, height) before the crop is cut.

    Args:
        cfg: Config with ``test_dataloader``.
        input_size: (w, h) in px of the model's crops.

    Raises:
        ValueError: The pipeline has a step that an exported model cannot repeat, or lacks one.
    """
    if not cfg.get('test_dataloader'):
        raise ValueError('the config has no test_dataloader, whose pipeline says how crops are cut: add one')
    factors, cut = None, False
    for step in cfg.test_dataloader.dataset.pipeline:
        name = type_name(step)
        if name == 'WidenBBox' and not any(step.get('random', (0, 0))):
            factors = 1 + np.array(step['fixed'], np.float32)
        elif name == 'GetBBoxCenterScale':
            factors = np.full(2, step.get('padding', 1.25), np.float32)
        elif name == 'TopdownAffine' and not step.get('use_udp') and tuple(step['input_size']) == tuple(input_size):
            cut = True
        elif name not in KEEP_CROPS:
            raise ValueError(f'step {dict(step)} of the pipeline of test_dataloader cannot be exported: take WidenBBox '
                             'without random, or GetBBoxCenterScale, and TopdownAffine without use_udp of input_size '
                             f'{tuple(input_size)}')
    if factors is None or not cut:
        raise ValueError('the pipeline of test_dataloader must have WidenBBox or GetBBoxCenterScale, and TopdownAffine')
    return factors.tolist()
