"""Top-down estimator: one-pass flip test, shift test, first stages alone, and every layout of MSPN checkpoints."""
from functools import partial
from typing import Mapping, Optional

import torch
from mmengine.structures import PixelData
from mmpose.models.backbones import RSN
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.utils.typing import SampleList
from torch import Tensor, nn

from mmpose_mspn.checkpoints import convert, recognize, unpack
from mmpose_mspn.models.backbones.mspn import MSPN, Stage
from mmpose_mspn.models.heads.mspn_head import MSPNHead
from mmpose_mspn.models.losses.multi_stage_heatmap_loss import VisibilityRule
from mmpose_mspn.models.pose_estimators.test_time_augmentation import check_shifts, extract_views, mean_heatmaps
from mmpose_mspn.models.utils import shallow_copy
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import ConfigError


@MODELS.register_module()
class TopdownPoseEstimator(MmposeTopdownPoseEstimator):
    """mmpose's estimator, for any backbone and head, with four additions.

    - The flip test runs crops and mirrored crops through the backbone in one batch.
    - ``test_cfg=dict(shift_test=[(dx, dy), …])`` averages the heatmaps of the crop moved by each (dx, dy), in input px
      as integers; the crop itself is (0, 0). The heatmaps are moved back before they are averaged. This is our reading
      of the "multi-shift test" of the published MPII test figure (92.6 PCKh), which the official code names but does
      not contain. Pixels without content are black, as outside the image. The flip test applies to every view. Any
      head that predicts heatmaps can be used.
    - ``test_cfg=dict(stages=n)`` predicts by the first n stages alone, exactly as the predictor of stage n does in the
      whole network. It needs MSPN's backbone and head, and weights of all stages load.
    - With an MSPN backbone and head, checkpoints in the official layout and in mmpose's MSPN layout load without
      conversion, by ``load_from``, ``init_model``, ``load_checkpoint`` or ``load_state_dict``. With mmpose's RSN and
      an MSPN head, so do mmpose's RSN checkpoints.

    Args:
        args: Positional arguments of mmpose's estimator.
        kwargs: Keyword arguments of mmpose's estimator.

    Raises:
        ConfigError: ``shift_test`` is empty or does not consist of pairs of integers, or there are not that many
            ``stages``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        rule = getattr(getattr(self.head, 'loss_module', None), 'visibility_rule', None) if self.with_head else None
        if rule is not None:
            # On the CPU side of the batch: the device is not waited for, and compiled graphs hold no branch on values.
            self.data_preprocessor.register_forward_pre_hook(partial(_check_visibility, rule), with_kwargs=True)
        check_shifts(self.test_cfg.get('shift_test'))
        check_stages(self, self.test_cfg.get('stages'))

    @property
    def reads_layouts(self) -> bool:
        """Whether checkpoints in other layouts load into this model."""
        return isinstance(self.backbone, (MSPN, RSN)) and self.with_head and isinstance(self.head, MSPNHead)

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """The samples, with ``pred_instances`` in image px, as from mmpose's estimator.

        Args:
            inputs: (B, 3, h, w), normalized.
            data_samples: The B samples.

        Raises:
            ConfigError: ``test_cfg`` has more ``stages`` than the network; or ``shift_test`` is set, and a shift is
                larger than the crop or the head predicts no heatmaps.
        """
        if self.test_cfg.get('stages') is not None:
            return first_stages(self, self.test_cfg['stages']).predict(inputs, data_samples)
        fields = None
        if self.test_cfg.get('shift_test'):
            maps = mean_heatmaps(self, inputs, data_samples, self.test_cfg)
            instances = self.head.decode(maps)
            if self.test_cfg.get('output_heatmaps', False):
                fields = [PixelData(heatmaps=sample_maps) for sample_maps in maps]
        else:
            feats = extract_views(self, inputs, self.test_cfg.get('flip_test', False))
            instances = self.head.predict(feats, data_samples, test_cfg=self.test_cfg)
            if isinstance(instances, tuple):
                instances, fields = instances
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def _load_state_dict_pre_hook(self, state_dict: dict, prefix: str, local_meta: dict, *args, **kwargs) -> None:
        """Convert a state dict to this model's layout, in place, before the modules read it."""
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
        if not self.reads_layouts:
            return
        weights = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
        for key in weights:
            del state_dict[prefix + key]
        state_dict.update({prefix + key: value for key, value in in_our_layout(weights).items()})


def _check_visibility(rule: VisibilityRule, preprocessor: nn.Module, args: tuple, options: dict) -> None:
    """Let the rule of the loss look at a batch of the training that a data preprocessor is about to get."""
    data, training = (*args, *options.values())[:2] if len(args) + len(options) > 1 else (args[0], False)
    if not training or rule.is_settled or not isinstance(data, dict):
        return
    labels = [sample.gt_instance_labels for sample in data.get('data_samples') or () if 'gt_instance_labels' in sample]
    visible = [label.keypoints_visible for label in labels if 'keypoints_visible' in label]
    if visible:
        rule.check(torch.cat(visible))


def in_our_layout(state_dict: Mapping) -> Mapping:
    """A checkpoint's weights in this package's layout.

    Weights of neither MSPN nor RSN are returned as they are, and the loader reports their keys.
    """
    weights = unpack(state_dict)
    try:
        layout = recognize(weights)
    except ValueError:
        return state_dict
    # This package's own keys are not checked: they may be those of an encoder that other layouts have no names for.
    return weights if layout == 'mmpose_mspn' else convert(weights)


def check_stages(estimator: BasePoseEstimator, stages: Optional[int]) -> None:
    """Check ``stages`` of a test_cfg; ``None`` stands for all.

    Raises:
        ConfigError: The estimator does not have that many stages, or has no predictor for each.
    """
    if stages is None:
        return
    backbone, head = getattr(estimator, 'backbone', None), getattr(estimator, 'head', None)
    if not isinstance(backbone, MSPN) or not isinstance(head, MSPNHead):
        raise ConfigError('stages needs the backbone MSPN and the head MSPNHead, which has a predictor for every '
                          f'stage, got {type(backbone).__name__} and {type(head).__name__}; an accelerated copy takes '
                          'accelerate(model, stages=n), and the members of an ensemble run whole')
    if not isinstance(stages, int) or isinstance(stages, bool) or not 1 <= stages <= head.num_stages:
        raise ConfigError(f'stages must be 1 ... num_stages ({head.num_stages}), got {stages!r}')


def first_stages(estimator: BasePoseEstimator, stages: int) -> BasePoseEstimator:
    """An estimator that runs the first stages alone and predicts as the last of them does in the whole network.

    It shares its weights with the given one, which is left as it is. ``stages`` of its ``test_cfg`` is gone.

    Args:
        estimator: An estimator with MSPN's backbone and head.
        stages: 1 ... S.

    Raises:
        ConfigError: The estimator does not have that many stages, or has no predictor for each.
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
