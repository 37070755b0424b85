"""What the heads that predict several heatmaps of the same joints share."""
from abc import abstractmethod
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from mmengine.structures import PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_CODECS
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.utils.typing import OptSampleList, Predictions
from torch import Tensor, nn

Heatmaps = Sequence[Sequence[Tensor]]
"""[stage][unit] (B, K, H, W); the last of the last stage is the prediction."""

PCK_THRESHOLD = 0.05
"""Share of the heatmap's size within which a training joint counts as right, as in mmpose."""


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1, by name."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f'{name} must be >= 1, got {size}')


def heatmap_predictor(channels: int, out_channels: int, conv_args: dict) -> nn.Sequential:
    """From a feature (B, C, H', W') to heatmaps (B, K, H', W'): 1×1 conv-norm-ReLU, 3×3 conv-norm."""
    return nn.Sequential(
        ConvModule(channels, channels, 1, **conv_args),
        ConvModule(channels, out_channels, 3, padding=1, act_cfg=None, **conv_args))


class BaseHeatmapHead(BaseHead):
    """Targets, training accuracy and prediction; a subclass makes the heatmaps.

    Args:
        out_channels: K >= 1, keypoints.
        decoder: Config of :class:`CoarseToFineHeatmap`, which renders the targets, gives the heatmap's size and
            decodes.
        loss: Config of the loss, without the switches.
        switches: Arguments of the loss that are arguments of the head.
        init_cfg: Initialization.

    Raises:
        ValueError: A size is out of range, or a switch stands in ``loss``.
    """

    def __init__(self, out_channels: int, decoder: dict, loss: dict, switches: dict,
                 init_cfg: Union[dict, List[dict]]) -> None:
        super().__init__(init_cfg)
        check_sizes(out_channels=out_channels)
        for name in switches:
            if name in loss:
                raise ValueError(f'{name} is a switch of the head: set it there, not in loss, got loss={loss}')
        self.out_channels = out_channels
        self.loss_module = MMPOSE_MODELS.build({**switches, **loss})
        self.decoder = MMPOSE_CODECS.build(decoder)
        columns, rows = self.decoder.heatmap_size
        self.heatmap_shape = (rows, columns)

    @abstractmethod
    def forward(self, feats) -> Heatmaps:
        """The heatmaps of all predictors."""

    @abstractmethod
    def forward_last(self, feats) -> Tensor:
        """Heatmaps (B, K, H, W) of the last predictor, by nothing that prediction does not need."""

    def predict(self, feats, batch_data_samples: OptSampleList, test_cfg: Optional[dict] = None) -> Predictions:
        """Keypoints in px and their scores, one ``InstanceData`` a sample.

        Args:
            feats: The features; with ``flip_test`` those of the crops and of the mirrored crops.
            batch_data_samples: The samples, whose metainfo holds ``flip_indices``.
            test_cfg: ``flip_test``, ``flip_mode``, ``shift_heatmap`` and ``output_heatmaps``, as in mmpose.

        Returns:
            The instances; with ``output_heatmaps`` also a list of ``PixelData`` with ``heatmaps`` (K, H, W).
        """
        test_cfg = test_cfg or {}
        if test_cfg.get('flip_test', False):
            crops, mirrored = feats
            flipped_back = flip_heatmaps(
                self.forward_last(mirrored),
                flip_mode=test_cfg.get('flip_mode', 'heatmap'),
                flip_indices=batch_data_samples[0].metainfo['flip_indices'],
                shift_heatmap=test_cfg.get('shift_heatmap', False))
            heatmaps = (self.forward_last(crops) + flipped_back) * 0.5
        else:
            heatmaps = self.forward_last(feats)
        instances = self.decode(heatmaps)
        if not test_cfg.get('output_heatmaps', False):
            return instances
        return instances, [PixelData(heatmaps=maps) for maps in heatmaps.detach()]

    def loss(self, feats, batch_data_samples: OptSampleList, train_cfg: Optional[dict] = None) -> dict:
        """The losses and ``acc_pose``, without a synchronization of the host with the device."""
        keypoints, visible = self._labels(batch_data_samples)
        targets = self.decoder.render(keypoints, visible)
        outputs = self.forward(feats)
        losses = self.loss_module(outputs, targets, visible)
        losses['acc_pose'] = self._accuracy(outputs[-1][-1], keypoints, visible)
        return losses

    def _labels(self, samples: OptSampleList) -> Tuple[Tensor, Tensor]:
        """(B, K, 2) px and (B, K) visibility, as the codec's ``encode`` left them in the samples."""
        labels = [sample.gt_instance_labels for sample in samples]
        if 'keypoint_labels' not in labels[0]:
            raise ValueError('the samples carry no keypoint_labels: let the pipeline end in '
                             'dict(type=\'GenerateTarget\', encoder=codec) with the codec of this head\'s decoder '
                             '(mmpose_mspn.CoarseToFineHeatmap, encode_as=\'keypoints\') and PackPoseInputs')
        return (torch.cat([label.keypoint_labels for label in labels]),
                torch.cat([label.keypoint_weights for label in labels]))

    @torch.no_grad()
    def _accuracy(self, heatmaps: Tensor, keypoints: Tensor, visible: Tensor) -> Tensor:
        """Share of the labeled joints whose maximum lies within 5 % of the heatmap's size, on the device."""
        rows, columns = self.heatmap_shape
        size = keypoints.new_tensor([columns, rows])
        index = heatmaps.flatten(2).argmax(-1)
        cells = torch.stack([index % columns, torch.div(index, columns, rounding_mode='floor')], -1)
        wanted = torch.floor(keypoints * size / keypoints.new_tensor(self.decoder.input_size))
        right = ((cells - wanted) / size).norm(dim=-1) < PCK_THRESHOLD
        labeled = visible > 0
        return (right & labeled).sum() / labeled.sum().clamp(min=1)
