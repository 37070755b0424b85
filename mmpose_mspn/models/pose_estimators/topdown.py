"""Top-down estimator: one-pass flip test, shift test, first stages alone, and every layout of MSPN checkpoints."""
from typing import Mapping

from mmengine.structures import PixelData
from mmpose.models.backbones import RSN
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from mmpose.utils.typing import SampleList
from torch import Tensor

from mmpose_mspn.checkpoints import convert, recognize, unpack
from mmpose_mspn.models.backbones.mspn import MSPN
from mmpose_mspn.models.heads.mspn_head import MSPNHead
from mmpose_mspn.models.pose_estimators.first_stages import check_stages, first_stages
from mmpose_mspn.models.pose_estimators.views import check_shifts, extract_views, mean_heatmaps
from mmpose_mspn.registry import MODELS


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
        ValueError: ``shift_test`` is empty or does not consist of pairs of integers, or there are not that many
            ``stages``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
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
            ValueError: ``test_cfg`` has more ``stages`` than the network; or ``shift_test`` is set, and a shift is
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
        given = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
        for key in given:
            del state_dict[prefix + key]
        state_dict.update({prefix + key: value for key, value in in_our_layout(given).items()})


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
