"""Predictors of MSPN: a heatmap for every unit of every stage."""
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
from torch.nn import functional as F

from mmpose_mspn.registry import MODELS

MultiStageFeatures = Sequence[Sequence[Tensor]]
"""[stage][unit] (B, C, H', W'), coarse unit first, as mmpose's MSPN and RSN return them too."""

PCK_THRESHOLD = 0.05
"""Share of the heatmap's size within which a training joint counts as right, as in mmpose."""


@MODELS.register_module()
class MSPNHead(BaseHead):
    """Heatmaps, losses and prediction for :class:`MSPN`, and for mmpose's own MSPN and RSN.

    Every unit has a predictor (1×1 conv-norm-ReLU, 3×3 conv-norm, resize to the heatmap's size). Training runs all
    of them; prediction only the last stage's last unit's.

    Args:
        num_stages: S >= 1, as the backbone's.
        out_channels: K >= 1, keypoints.
        num_units: U >= 1, units of a stage.
        unit_channels: Channels of the features, >= 1.
        coarse_to_fine: See :class:`MultiStageHeatmapLoss`.
        ohkm_topk: See :class:`MultiStageHeatmapLoss`.
        loss: Config of the loss; takes the two switches above from this head.
        decoder: Config of :class:`CoarseToFineHeatmap`, which renders the targets, gives the heatmap's size and
            decodes. Required.
        norm_cfg: Norm of every conv.
        conv_cfg: Type of every conv; ``None`` is a plain one.
        init_cfg: Initialisation; the default is mmpose's for this head.

    Raises:
        ValueError: A size is out of range, or a switch stands in ``loss``.
    """

    def __init__(self,
                 num_stages: int,
                 out_channels: int,
                 decoder: dict,
                 num_units: int = 4,
                 unit_channels: int = 256,
                 coarse_to_fine: bool = True,
                 ohkm_topk: Optional[int] = 8,
                 loss: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 conv_cfg: Optional[dict] = None,
                 init_cfg: Union[dict, List[dict], None] = None) -> None:
        super().__init__(init_cfg or [
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1)
        ])
        sizes = dict(
            num_stages=num_stages, num_units=num_units, unit_channels=unit_channels, out_channels=out_channels)
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f'{name} must be >= 1, got {size}')
        loss = dict(loss or {})
        for name in ('coarse_to_fine', 'ohkm_topk'):
            if name in loss:
                raise ValueError(f'{name} is a switch of the head: set it there, not in loss, got loss={loss}')
        loss.setdefault('type', 'mmpose_mspn.MultiStageHeatmapLoss')
        self.num_stages, self.num_units = num_stages, num_units
        self.unit_channels, self.out_channels = unit_channels, out_channels
        self.loss_module = MMPOSE_MODELS.build(
            dict(coarse_to_fine=coarse_to_fine, ohkm_topk=ohkm_topk, **loss))
        self.decoder = MMPOSE_CODECS.build(decoder)
        columns, rows = self.decoder.heatmap_size
        self.heatmap_shape = (rows, columns)
        norm_cfg = norm_cfg or dict(type='BN')
        self.predictors = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(
                    ConvModule(unit_channels, unit_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg),
                    ConvModule(
                        unit_channels, out_channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None))
                for _ in range(num_units)) for _ in range(num_stages))

    def forward(self, feats: MultiStageFeatures) -> List[List[Tensor]]:
        """Heatmaps [stage][unit] (B, K, H, W) of all predictors."""
        self._check_features(feats)
        return [[self._heatmap(predictor, feature) for predictor, feature in zip(predictors, features)]
                for predictors, features in zip(self.predictors, feats)]

    def forward_last(self, feats: MultiStageFeatures) -> Tensor:
        """Heatmaps (B, K, H, W) of the last stage's last unit, all that prediction needs."""
        self._check_features(feats)
        return self._heatmap(self.predictors[-1][-1], feats[-1][-1])

    def predict(self,
                feats: Union[MultiStageFeatures, List[MultiStageFeatures]],
                batch_data_samples: OptSampleList,
                test_cfg: Optional[dict] = None) -> Predictions:
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

    def loss(self,
             feats: MultiStageFeatures,
             batch_data_samples: OptSampleList,
             train_cfg: Optional[dict] = None) -> dict:
        """Losses of all stages, and ``acc_pose``, without a synchronisation of the host with the device."""
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

    def _heatmap(self, predictor: nn.Module, feature: Tensor) -> Tensor:
        heatmap = predictor(feature)
        if heatmap.shape[2:] == self.heatmap_shape:  # resizing would change nothing
            return heatmap
        return F.interpolate(heatmap, size=self.heatmap_shape, mode='bilinear', align_corners=True)

    @torch.no_grad()
    def _accuracy(self, heatmaps: Tensor, keypoints: Tensor, visible: Tensor) -> Tensor:
        """Share of the labelled joints whose maximum lies within 5 % of the heatmap's size, on the device."""
        rows, columns = self.heatmap_shape
        size = keypoints.new_tensor([columns, rows])
        index = heatmaps.flatten(2).argmax(-1)
        cells = torch.stack([index % columns, torch.div(index, columns, rounding_mode='floor')], -1)
        wanted = torch.floor(keypoints * size / keypoints.new_tensor(self.decoder.input_size))
        right = ((cells - wanted) / size).norm(dim=-1) < PCK_THRESHOLD
        labelled = visible > 0
        return (right & labelled).sum() / labelled.sum().clamp(min=1)

    def _check_features(self, feats: MultiStageFeatures) -> None:
        shape = [len(units) for units in feats]
        if shape != [self.num_units] * self.num_stages:
            raise ValueError(f'the backbone gave {len(shape)} stages of {shape} units, the head has '
                             f'num_stages={self.num_stages} and num_units={self.num_units}')
        channels = feats[-1][-1].shape[1]
        if channels != self.unit_channels:
            raise ValueError(f'the backbone gave {channels} channels, the head has unit_channels={self.unit_channels}')
