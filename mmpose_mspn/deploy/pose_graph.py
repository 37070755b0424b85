"""A pose estimator as one module of tensors, from pixels to keypoints, which an exporter can trace."""
import copy
from typing import Any, Optional, Sequence, Tuple

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model.utils import revert_sync_batchnorm
from mmpose.models.heads import HeatmapHead
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor, nn

from mmpose_mspn.codecs.coarse_to_fine_heatmap import CoarseToFineHeatmap
from mmpose_mspn.codecs.decode import decode
from mmpose_mspn.deploy.accelerated_pose_estimator import AcceleratedPoseEstimator
from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead, flip_test_mean
from mmpose_mspn.models.pose_estimators.topdown import first_stages
from mmpose_mspn.utils.errors import ConfigError

HEATMAP_HEADS = (BaseHeatmapHead, HeatmapHead)
"""Heads that predict one heatmap for each keypoint, this package's and mmpose's."""


def refuse_unexportable(model: nn.Module) -> None:
    """Check that a model is of a kind that :class:`PoseGraph` can hold.

    Raises:
        ConfigError: It is of another kind; the message names the part and what to do.
    """
    kind = type(model).__name__
    if isinstance(model, AcceleratedPoseEstimator):
        raise ConfigError('model is an accelerated copy, whose packed convolutions cannot be exported: export the '
                          'model that it was made from')
    if hasattr(model, 'members'):
        raise ConfigError(f'model is an ensemble ({kind}), which cannot be exported: export each of its members by its '
                          'own config and checkpoint')
    if not isinstance(model, TopdownPoseEstimator):
        raise ConfigError(f'model must be a top-down pose estimator, got {kind}')
    head = type(model.head).__name__
    if not isinstance(model.head, HEATMAP_HEADS):
        raise ConfigError(f'head {head} cannot be exported, only heads that predict heatmaps can: take a config of '
                          'configs/*/topdown_heatmap')
    if not isinstance(model.head.decoder, CoarseToFineHeatmap):
        raise ConfigError(f'codec {type(model.head.decoder).__name__} of head {head} cannot be exported: the graph '
                          'holds the decode of mmpose_mspn.CoarseToFineHeatmap')
    settings = model.test_cfg or {}
    if settings.get('shift_test'):
        raise ConfigError('shift_test of the test_cfg cannot be exported: remove it with '
                          '--cfg-options model.test_cfg.shift_test=None')
    if settings.get('output_keypoint_indices') is not None:
        raise ConfigError('output_keypoint_indices of the test_cfg cannot be exported: omit it, and take the '
                          'keypoints from the outputs')
    if settings.get('flip_test') and settings.get('flip_mode', 'heatmap') != 'heatmap':
        raise ConfigError(f"flip_mode must be 'heatmap', got {settings['flip_mode']!r}: other modes cannot be exported")


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
        ConfigError: The model is of another kind, or does not have that many stages.
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
        self.blur_kernel_size = codec.blur_kernel_size
        self.crop = GraphCrop(codec.input_size, padding) if source == 'image' else None
        self.input_size = codec.input_size

    def forward(self, first: Tensor, boxes: Optional[Tensor] = None) -> Tuple[Tensor, Tensor, Tensor]:
        """Keypoints (B, K, 2), in px of the crops or, with ``source='image'``, of the image; scores (B, K); heatmaps.

        Args:
            first: Crops or image, by ``source``.
            boxes: (B, 4), with ``source='image'``.
        """
        crops, centers, sizes = (first, None, None) if self.crop is None else self.crop(first, boxes)
        heatmaps = self.heatmaps(crops)
        keypoints, scores = decode(heatmaps, self.input_size, self.blur_kernel_size)
        keypoints = keypoints.float()
        if self.crop is None:
            return keypoints, scores, heatmaps
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
    return type(feats)(_to_float(feature) for feature in feats)


def predicted_heatmaps(head: nn.Module, feats: Any) -> Tensor:
    """The heatmaps (B, K, H, W) that one of :data:`HEATMAP_HEADS` decodes, of its features, without the flip test."""
    return head.forward_last(feats) if isinstance(head, BaseHeatmapHead) else head.forward(feats)


class GraphCrop(nn.Module):
    """Crops of boxes, as the test pipeline's box widening and ``TopdownAffine`` cut them, to the last gray level.

    ``mspn_runtime.py`` has the same computation in numpy, with the reasons for its steps; both cut as OpenCV 4.

    Args:
        size: (w, h) of the crops in px.
        padding: Factors of a box's (width, height).
    """

    def __init__(self, size: Sequence[int], padding: Sequence[float]) -> None:
        super().__init__()
        self.size = tuple(size)
        self.register_buffer('padding', torch.tensor(padding, dtype=torch.float32))
        self.register_buffer('aspect', torch.tensor(size[0] / size[1], dtype=torch.float32))

    def forward(self, image: Tensor, boxes: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Cut the crops.

        Args:
            image: (H, W, 3), uint8.
            boxes: (N, 4), x, y, width, height in image px, float32.

        Returns:
            Crops (N, 3, h, w), uint8, and the centers and sizes (N, 2), float32, of their regions in image px.
        """
        ends = boxes[:, :2] + boxes[:, 2:]
        width, height = ((ends - boxes[:, :2]) * self.padding).unbind(1)
        wide = width > height * self.aspect
        sizes = torch.stack([torch.where(wide, width, height * self.aspect),
                             torch.where(wide, width / self.aspect, height)], 1)
        centers = (boxes[:, :2] + ends) / 2
        return self._cut(image, centers, sizes[:, 0]), centers, sizes

    def _cut(self, image: Tensor, centers: Tensor, widths: Tensor) -> Tensor:
        w, h = self.size
        a, b, c, d, e, f = (value[:, None, None] for value in _inverse(_equations(centers, widths, self.size)))
        column = torch.arange(w, dtype=torch.float64)
        row = torch.arange(h, dtype=torch.float64)[:, None]
        x = torch.round(a * column * 1024) + torch.round((b * row + c) * 1024) + 16
        y = torch.round(d * column * 1024) + torch.round((e * row + f) * 1024) + 16
        # Whole numbers in float64, since graphs have no shift of signed integers.
        x, y = torch.floor(x / 32), torch.floor(y / 32)
        left, top = torch.floor(x / 32), torch.floor(y / 32)
        right, down = (x - left * 32).long(), (y - top * 32).long()
        left, top = left.long(), top.long()
        pixels = image.flatten(0, 1)
        rows, columns = image.shape[0], image.shape[1]
        total = 0
        for below in (0, 1):
            for beside in (0, 1):
                i, j = top + below, left + beside
                inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
                weight = (down if below else 32 - down) * (right if beside else 32 - right) * inside
                place = torch.where(inside, i * columns + j, 0)
                total = total + pixels[place].int() * weight[..., None].int()
        crops = torch.floor((total.float() + 512) / 1024).to(torch.uint8)
        return crops.permute(0, 3, 1, 2)


def _equations(centers: Tensor, widths: Tensor, size: Tuple[int, int]) -> Tensor:
    """(2N, 3, 4), float64: the equations of the affine maps from image to crop that mmpose asks OpenCV to solve.

    OpenCV solves six equations, of which three hold the numbers of x alone (the first N here) and three those of y.
    Among equals its pivot is the first row, and when it comes to those of y, their first two rows are swapped.
    """
    w, h = size
    x, y = centers.unbind(1)
    left = (x.double() - widths.double() / 2).float()
    below, ones = y + (x - left), torch.ones_like(x)
    of_x = [torch.stack([px, py, ones, ones * u], 1)
            for px, py, u in ((x, y, w / 2), (left, y, 0.), (left, below, 0.))]
    of_y = [torch.stack([px, py, ones, ones * v], 1)
            for px, py, v in ((left, y, h / 2), (x, y, h / 2), (left, below, h / 2 + w / 2))]
    return torch.cat([torch.stack(of_x, 1), torch.stack(of_y, 1)]).double()


def _inverse(matrix: Tensor) -> Sequence[Tensor]:
    """The six numbers (N,) of the maps from crop to image, with OpenCV's steps and so its rounding."""
    for i in range(2):
        pivot = matrix[:, i:, i].abs().argmax(1, keepdim=True) + i
        order = torch.arange(3)
        order = torch.where(order == pivot, i, torch.where(order == i, pivot, order))
        matrix = matrix.gather(1, order[:, :, None].expand(-1, -1, 4))
        factor = matrix[:, i + 1:, i:i + 1] * (-1 / matrix[:, i:i + 1, i:i + 1])
        matrix = torch.cat([matrix[:, :i + 1], matrix[:, i + 1:] + factor * matrix[:, i:i + 1]], 1)
    third = matrix[:, 2, 3] / matrix[:, 2, 2]
    second = (matrix[:, 1, 3] - matrix[:, 1, 2] * third) / matrix[:, 1, 1]
    first = (matrix[:, 0, 3] - matrix[:, 0, 1] * second - matrix[:, 0, 2] * third) / matrix[:, 0, 0]
    (a, d), (b, e), (c, f) = (number.unflatten(0, (2, -1)).unbind(0) for number in (first, second, third))
    scale = 1 / (a * e - b * d)
    a, b, d, e = e * scale, b * -scale, d * -scale, a * scale
    return a, b, -a * c - b * f, d, e, -d * c - e * f
