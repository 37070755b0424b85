"""Parameters and multiply-adds of the models in configs; make_model_table.py calls this."""
import json
from typing import Dict, Tuple

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

import mmpose_mspn  # noqa: F401  registers the parts

Cost = Tuple[int, float]
"""Parameters and multiply-adds."""


def input_size(cfg: Config) -> Tuple[int, int]:
    """(w, h) px of the crops of a config's model."""
    return (cfg.model.get('decoder') or cfg.model.head.decoder)['input_size']


def cost(cfg: Config, measured: Dict[str, Cost]) -> Cost:
    """Cost of a config's model for one crop; for an ensemble, the sum over its members.

    Args:
        cfg: The config.
        measured: Costs of models that are measured already, by their configs; gets this one too.
    """
    if 'members' in cfg.model:
        parameters, multiply_adds = zip(
            *(cost(Config.fromfile(member.config), measured) for member in cfg.model.members))
        return sum(parameters), sum(multiply_adds)
    parts = {part: cfg.model[part].to_dict() for part in ('backbone', 'head')}
    parts['backbone'].pop('init_cfg', None)
    key = json.dumps(parts, sort_keys=True)
    if key not in measured:
        measured[key] = measure({**cfg.model.to_dict(), **parts}, input_size(cfg))
    return measured[key]


class _CropsToHeatmaps(nn.Module):
    """An estimator that is called with crops alone, as mmengine's counter does."""

    def __init__(self, estimator: nn.Module) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, crops: Tensor) -> object:
        return self.estimator(crops, None, mode='tensor')


def measure(model: dict, size: Tuple[int, int]) -> Cost:
    """Parameters and multiply-adds of a model's config for one crop of (w, h) px."""
    init_default_scope('mmpose')
    w, h = size
    estimator = _CropsToHeatmaps(MMPOSE_MODELS.build(model)).eval()
    with torch.no_grad():
        info = get_model_complexity_info(estimator, inputs=torch.zeros(1, 3, h, w), show_table=False, show_arch=False)
    return int(sum(p.numel() for p in estimator.parameters())), float(info['flops'])
