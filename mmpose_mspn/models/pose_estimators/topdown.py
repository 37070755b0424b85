"""Top-down estimator: tests in fewer passes, tests on shifted crops, reads any layout of MSPN checkpoints."""
from typing import Mapping

from mmengine.structures import PixelData
from mmpose.models.backbones import RSN
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from mmpose.utils.typing import SampleList
from torch import Tensor

from mmpose_mspn.checkpoints import convert, recognize, unpack
from mmpose_mspn.models.backbones.mspn import MSPN
from mmpose_mspn.models.heads.mspn_head import MSPNHead
from mmpose_mspn.models.pose_estimators.views import check_shifts, features, heatmaps
from mmpose_mspn.registry import MODELS


@MODELS.register_module()
class TopdownPoseEstimator(MmposeTopdownPoseEstimator):
    """mmpose's estimator, for any backbone and head, with three additions.

    - The flip test sends crops and mirrored crops through the backbone in one batch.
    - ``test_cfg=dict(shift_test=[(dx, dy), …])`` averages the heatmaps of the crop moved by each (dx, dy), in whole
      input px, the crop itself being (0, 0); the heatmaps are moved back first. This is how we read the "multi-shift
      test" of the published MPII test figure (92.6 PCKh), which the official code names but does not hold. What a
      move uncovers is black, as outside the image; the flip test applies to every view. Any head that predicts
      heatmaps will do.
    - With an MSPN backbone and head, checkpoints in the official layout and in mmpose's MSPN layout load as they
      are, by ``load_from``, ``init_model``, ``load_checkpoint`` or ``load_state_dict``. With mmpose's RSN under an
      MSPN head, so do mmpose's RSN checkpoints.

    Args:
        args: As for mmpose's estimator.
        kwargs: Likewise.

    Raises:
        ValueError: ``shift_test`` is empty or not made of pairs of whole px.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        check_shifts(self.test_cfg.get('shift_test'))

    @property
    def reads_layouts(self) -> bool:
        """Whether checkpoints in other layouts load into this model."""
        return isinstance(self.backbone, (MSPN, RSN)) and self.with_head and isinstance(self.head, MSPNHead)

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Samples with ``pred_instances`` in image px; see mmpose's estimator.

        Args:
            inputs: (B, 3, h, w), normalized.
            data_samples: The B samples.
        """
        fields = None
        if self.test_cfg.get('shift_test'):
            maps = heatmaps(self, inputs, data_samples, self.test_cfg)
            instances = self.head.decode(maps)
            if self.test_cfg.get('output_heatmaps', False):
                fields = [PixelData(heatmaps=sample_maps) for sample_maps in maps]
        else:
            instances = self.head.predict(
                features(self, inputs, self.test_cfg.get('flip_test', False)), data_samples, test_cfg=self.test_cfg)
            if isinstance(instances, tuple):
                instances, fields = instances
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def _load_state_dict_pre_hook(self, state_dict: dict, prefix: str, local_meta: dict, *args, **kwargs) -> None:
        """Bring a state dict of another layout into this model's, in place, before the modules read it."""
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
        if not self.reads_layouts:
            return
        given = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
        for key in given:
            del state_dict[prefix + key]
        state_dict.update({prefix + key: value for key, value in in_our_layout(given).items()})


def in_our_layout(state_dict: Mapping) -> Mapping:
    """A checkpoint's weights under our keys; neither MSPN nor RSN: as they are, for the loader to report."""
    weights = unpack(state_dict)
    try:
        layout = recognize(weights)
    except ValueError:
        return state_dict
    # Our own keys go unchecked: they may be those of an encoder that other layouts cannot name.
    return weights if layout == 'mmpose_mspn' else convert(weights)
