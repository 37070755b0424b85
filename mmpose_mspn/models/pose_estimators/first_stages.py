"""A trained network's first stages as a network of their own: every stage has a trained predictor."""
from typing import Optional

from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import nn

from mmpose_mspn.models.backbones.mspn import MSPN, Stage
from mmpose_mspn.models.heads.mspn_head import MSPNHead
from mmpose_mspn.models.utils.shallow_copy import shallow_copy


def check_stages(estimator: BasePoseEstimator, stages: Optional[int]) -> None:
    """Check ``stages`` of a test_cfg; ``None`` stands for all.

    Raises:
        ValueError: The estimator does not have that many stages, or has no predictor for each.
    """
    if stages is None:
        return
    backbone, head = getattr(estimator, 'backbone', None), getattr(estimator, 'head', None)
    if not isinstance(backbone, MSPN) or not isinstance(head, MSPNHead):
        raise ValueError('stages needs the backbone MSPN and the head MSPNHead, which has a predictor for every stage, '
                         f'got {type(backbone).__name__} and {type(head).__name__}; an accelerated copy takes '
                         'accelerate(model, stages=n), and the members of an ensemble run whole')
    if not isinstance(stages, int) or isinstance(stages, bool) or not 1 <= stages <= head.num_stages:
        raise ValueError(f'stages must be 1 ... num_stages ({head.num_stages}), got {stages!r}')


def first_stages(estimator: BasePoseEstimator, stages: int) -> BasePoseEstimator:
    """An estimator that runs the first stages alone and predicts as the last of them does in the whole network.

    It shares its weights with the given one, which is left as it is. ``stages`` of its ``test_cfg`` is gone.

    Args:
        estimator: An estimator with MSPN's backbone and head.
        stages: 1 ... S.

    Raises:
        ValueError: The estimator does not have that many stages, or has no predictor for each.
    """
    check_stages(estimator, stages)
    part = shallow_copy(estimator)
    part.test_cfg = {name: value for name, value in (estimator.test_cfg or {}).items() if name != 'stages'}
    part.backbone = shallow_copy(estimator.backbone)
    part.backbone.num_stages = stages
    part.backbone.frozen_stages = min(estimator.backbone.frozen_stages, stages)
    *before, last = estimator.backbone.stages[:stages]
    part.backbone.stages = nn.ModuleList([*before, _without_next(last)])
    part.head = shallow_copy(estimator.head)
    part.head.num_stages = stages
    part.head.predictors = estimator.head.predictors[:stages]
    return part


def _without_next(stage: Stage) -> Stage:
    """A stage without what only the next one needs."""
    final = shallow_copy(stage)
    final.to_next = None
    units = []
    for unit in stage.units:
        units.append(shallow_copy(unit))
        units[-1].skip_encoder = units[-1].skip_decoder = None
    final.units = nn.ModuleList(units)
    return final
