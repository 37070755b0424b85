"""mmpose's data preprocessor without a wait for the GPU."""
import torch
from mmengine.model.base_model.data_preprocessor import CastData
from mmpose.models.data_preprocessors import PoseDataPreprocessor as MmposePoseDataPreprocessor
from torch import Tensor

from mmpose_mspn.registry import MODELS


@MODELS.register_module()
class PoseDataPreprocessor(MmposePoseDataPreprocessor):
    """The same pixels as from mmpose's class, which indexes the color channels by a list: on a GPU, a blocking copy.

    Args:
        bgr_to_rgb: Whether the channels change from BGR to RGB.
        rgb_to_bgr: Whether the channels change from RGB to BGR.
        non_blocking: Whether copies from pinned memory (``pin_memory=True`` of a data loader) let the host go on.
        kwargs: The other arguments of mmpose's class.
    """

    def __init__(self, bgr_to_rgb: bool = False, rgb_to_bgr: bool = False, non_blocking: bool = True, **kwargs) -> None:
        super().__init__(bgr_to_rgb=bgr_to_rgb, rgb_to_bgr=rgb_to_bgr, non_blocking=non_blocking, **kwargs)
        self._reverses_channels, self._channel_conversion = self._channel_conversion, False

    def forward(self, data: dict, training: bool = False) -> dict:
        return self._batch_of_training(data) if training else super().forward(data, training)

    @torch._disable_dynamo  # as torch does it in its optimizers: torch.compiler.disable would import the whole compiler
    def _batch_of_training(self, data: dict) -> dict:
        """What ``forward`` returns in training, out of reach of torch.compile, which fails at the arrays of samples."""
        return super().forward(data, True)

    def cast_data(self, data: CastData) -> CastData:
        batch = super().cast_data(data)
        if self._reverses_channels and isinstance(batch, dict) and 'inputs' in batch:
            inputs = batch['inputs']
            batch['inputs'] = inputs.flip(-3) if isinstance(inputs, Tensor) else [image.flip(-3) for image in inputs]
        return batch
