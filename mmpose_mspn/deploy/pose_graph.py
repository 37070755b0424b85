"""A pose estimator as one module of tensors, from pixels to keypoints, which an exporter can trace."""
import copy
from typing import Optional, Sequence, Tuple

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model.utils import revert_sync_batchnorm
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor, nn

from mmpose_mspn.codecs.coarse_to_fine_heatmap import CoarseToFineHeatmap
from mmpose_mspn.deploy.accelerated_pose_estimator import AcceleratedPoseEstimator
from mmpose_mspn.deploy.graph_crop import GraphCrop
from mmpose_mspn.deploy.graph_decode import GraphDecode
from mmpose_mspn.deploy.heatmap_heads import HEATMAP_HEADS, predicted_heatmaps
from mmpose_mspn.models.heads.flip_test import flip_test_mean
from mmpose_mspn.models.pose_estimators.first_stages import first_stages


def refuse_unexportable(model: nn.Module) -> None:
    """Check that a model is of a kind that :class:`PoseGraph` can hold.

    Raises:
        ValueError: It is of another kind; the message names the part and what to do.
    """
    kind = type(model).__name__
    if isinstance(model, AcceleratedPoseEstimator):
        raise ValueError('model is an accelerated copy, whose packed convolutions cannot be exported: export the model '
                         'that it was made from')
    if hasattr(model, 'members'):
        raise ValueError(f'model is an ensemble ({kind}), which cannot be exported: export each of its members by its '
                         'own config and checkpoint')
    if not isinstance(model, TopdownPoseEstimator):
        raise ValueError(f'model must be a top-down pose estimator, got {kind}')
    head = type(model.head).__name__
    if not isinstance(model.head, HEATMAP_HEADS):
        raise ValueError(f'head {head} cannot be exported, only heads that predict heatmaps can: take a config of '
                         'configs/*/topdown_heatmap')
    if not isinstance(model.head.decoder, CoarseToFineHeatmap):
        raise ValueError(f'codec {type(model.head.decoder).__name__} of head {head} cannot be exported: the graph '
                         'holds the decode of mmpose_mspn.CoarseToFineHeatmap')
    settings = model.test_cfg or {}
    if settings.get('shift_test'):
        raise ValueError('shift_test of the test_cfg cannot be exported: remove it with '
                         '--cfg-options model.test_cfg.shift_test=None')
    if settings.get('output_keypoint_indices') is not None:
        raise ValueError('output_keypoint_indices of the test_cfg cannot be exported: omit it, and take the '
                         'keypoints from the outputs')
    if settings.get('flip_test') and settings.get('flip_mode', 'heatmap') != 'heatmap':
        raise ValueError(f"flip_mode must be 'heatmap', got {settings['flip_mode']!r}: other modes cannot be exported")


class PoseGraph(nn.Module):
    """From crops, or an image and boxes, to keypoints and scores.

    It holds a copy of the model with norms folded into convolutions; of an MSPN only the last predictor runs.

    Args:
        model: Estimator of a kind that :func:`refuse_unexportable` accepts. It is left as it is.
        flip_indices: For each of the K keypoints the one that takes its place in a mirrored crop.
        source: ``'crops'`` (B, 3, h, w), uint8, as the test pipeline packs them; ``'normalized'`` (B, 3, h, w),
            float32, as ``predict`` of the model takes them; ``'image'``: an image and boxes, see :class:`GraphCrop`.
        flip: Whether to run the flip test, if the model's ``test_cfg`` asks for it.
        stages: Run only the first stages of an MSPN, 1 ... S; the default is ``stages`` of the ``test_cfg``, or all.
        half: Whether backbone and neck compute in float16.
        padding: Factors of a box's (width, height), for ``source='image'``.

    Raises:
        ValueError: The model is of another kind, or does not have that many stages.
    """

    def __init__(self, model: nn.Module, flip_indices: Sequence[int], source: str = 'crops', flip: bool = True,
                 stages: Optional[int] = None, half: bool = False,
                 padding: Sequence[float] = (1., 1.)) -> None:
        super().__init__()
        refuse_unexportable(model)
        settings = model.test_cfg or {}
        stages = settings.get('stages') if stages is None else stages
        if stages is not None:
            model = first_stages(model, stages)
        estimator = revert_sync_batchnorm(copy.deepcopy(model)).cpu().eval()
        self.estimator = fuse_conv_bn(estimator).requires_grad_(False)
        self.half_parts = [part for part in (self.estimator.backbone, getattr(self.estimator, 'neck', None))
                           if half and part is not None]
        for part in self.half_parts:
            part.half()
        self.source = source
        self.flip_test = flip and bool(settings.get('flip_test'))
        self.shift_heatmap = bool(settings.get('shift_heatmap'))
        self.flip_indices = list(flip_indices)
        codec = self.estimator.head.decoder
        self.decode = GraphDecode(codec)
        self.crop = GraphCrop(codec.input_size, padding) if source == 'image' else None
        self.input_size = codec.input_size

    def forward(self, first: Tensor, boxes: Optional[Tensor] = None) -> Tuple[Tensor, Tensor, Tensor]:
        """Keypoints (B, K, 2), in px of the crops or, with ``source='image'``, of the image; scores (B, K); heatmaps.

        Args:
            first: Crops or image, by ``source``.
            boxes: (B, 4), with ``source='image'``.
        """
        if self.crop is None:
            heatmaps = self.heatmaps(first)
            return (*self.decode(heatmaps), heatmaps)
        crops, centers, sizes = self.crop(first, boxes)
        heatmaps = self.heatmaps(crops)
        keypoints, scores = self.decode(heatmaps)
        keypoints = keypoints.double() / torch.tensor(self.input_size, dtype=torch.float64) * sizes[:, None]
        return (keypoints + (centers - sizes / 2)[:, None]).float(), scores, heatmaps

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Heatmaps (B, K, H, W) that the decode gets, of crops (B, 3, h, w)."""
        inputs = crops if self.source == 'normalized' else self.normalized(crops)
        count = inputs.shape[0]  # len() would fix the number of people
        if self.flip_test:
            inputs = torch.cat([inputs, inputs.flip(-1)])
        if self.half_parts:
            inputs = inputs.half()
        feats = self.estimator.extract_feat(inputs)
        maps = predicted_heatmaps(self.estimator.head, _to_float(feats) if self.half_parts else feats)
        if not self.flip_test:
            return maps
        return flip_test_mean(maps[:count], maps[count:], flip_indices=self.flip_indices,
                              shift_heatmap=self.shift_heatmap)

    def normalized(self, crops: Tensor) -> Tensor:
        """What the model's data preprocessor makes of crops (B, 3, h, w), uint8."""
        preprocessor = self.estimator.data_preprocessor
        reverses = getattr(preprocessor, '_reverses_channels', False) or preprocessor._channel_conversion
        crops = (crops.flip(1) if reverses else crops).float()
        return (crops - preprocessor.mean) / preprocessor.std if preprocessor._enable_normalize else crops


def _to_float(feats):
    """Features in float32, from tensors, lists and tuples of them."""
    if isinstance(feats, Tensor):
        return feats.float()
    return type(feats)(_to_float(one) for one in feats)
