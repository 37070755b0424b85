"""What heads that predict several heatmaps of the same keypoints share."""
from abc import abstractmethod
from functools import lru_cache
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

from mmpose_mspn.utils.config_types import registered_class
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.numbers import NOT_LABELED, is_integer

Heatmaps = Sequence[Sequence[Tensor]]
"""[stage][unit] (B, K, H, W); the last unit of the last stage makes the prediction."""

PCK_THRESHOLD = 0.05
"""Distance, as a share of the heatmap's size, within which ``acc_pose`` counts a keypoint as right, as in mmpose."""

FROM_LOSS = 'from_loss'
"""Default of a head's ``ohkm_topk``: the loss keeps its own value. ``None`` cannot say so, as it stands for no OHKM."""

TopK = Union[int, str, None]
"""``ohkm_topk`` of a head: a number, ``None`` or :data:`FROM_LOSS`."""


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that are not integers >= 1.

    Raises:
        ConfigError: Names the first such size.
    """
    for name, size in sizes.items():
        if not is_integer(size) or size < 1:
            raise ConfigError(f'{name} must be an integer >= 1, got {size!r}')


def loss_config(loss: Optional[dict], default: type, **of_head: object) -> dict:
    """Config of the loss that a head trains with.

    Args:
        loss: The head's ``loss``, in which ``type`` may be missing.
        default: Class of the loss where ``loss`` names none, registered in ``mmpose_mspn``.
        of_head: Arguments of the default loss that were given to the head. They replace those in ``loss``;
            :data:`FROM_LOSS` replaces nothing.

    Raises:
        ConfigError: The head was given an argument of the default loss, but ``loss`` is of another class.
    """
    config = {'type': f'mmpose_mspn.{default.__name__}', **(loss or {})}
    of_head = {name: value for name, value in of_head.items() if value != FROM_LOSS}
    if of_head and registered_class(config['type']) is not default:
        raise ConfigError(f'{" and ".join(of_head)} of the head can only be given with a {default.__name__}: remove it '
                          f'from the head, and write the arguments of {config["type"]!r} in loss')
    return {**config, **of_head}


def heatmap_predictor(channels: int, out_channels: int, conv_args: dict) -> nn.Sequential:
    """A module from features (B, channels, H', W') to heatmaps (B, out_channels, H', W').

    A 1×1 convolution with norm and ReLU, and a 3×3 convolution with norm.
    """
    return nn.Sequential(
        ConvModule(channels, channels, 1, **conv_args),
        ConvModule(channels, out_channels, 3, padding=1, act_cfg=None, **conv_args))


class BaseHeatmapHead(BaseHead):
    """Targets, losses, training accuracy and prediction; a subclass computes the heatmaps.

    Args:
        out_channels: K >= 1, keypoints.
        decoder: Config of :class:`CoarseToFineHeatmap`, which renders the targets, gives the heatmap's size and
            decodes.
        loss: Config of any loss that is called as ``(outputs [stage][unit] (B, K, H, W), targets (B, L, K, H, W),
            visible (B, K)) -> dict of losses``.
        init_cfg: Initialization.

    Raises:
        ConfigError: ``out_channels`` is out of its range.
    """

    def __init__(self, out_channels: int, decoder: dict, loss: dict, init_cfg: Union[dict, List[dict]]) -> None:
        super().__init__(init_cfg)
        check_sizes(out_channels=out_channels)
        self.out_channels = out_channels
        self.loss_module = MMPOSE_MODELS.build(loss)
        self.decoder = MMPOSE_CODECS.build(decoder)
        if not hasattr(self.decoder, 'render'):
            raise ConfigError(f'decoder must be a mmpose_mspn.CoarseToFineHeatmap, which renders the targets, got '
                              f'{type(self.decoder).__name__}')
        columns, rows = self.decoder.heatmap_size
        self.heatmap_shape = (rows, columns)

    @abstractmethod
    def forward(self, feats) -> Heatmaps:
        """Heatmaps of all predictors."""

    @abstractmethod
    def forward_last(self, feats) -> Tensor:
        """Heatmaps (B, K, H, W) of the last predictor, computed without the other predictors."""

    def predict(self, feats, batch_data_samples: OptSampleList, test_cfg: Optional[dict] = None) -> Predictions:
        """Keypoints in px and their scores, one ``InstanceData`` per sample.

        Args:
            feats: The backbone's features of the crops; with ``flip_test`` a list of those and of the features of the
                mirrored crops.
            batch_data_samples: The B samples, whose metainfo holds ``flip_indices``.
            test_cfg: ``flip_test``, ``flip_mode``, ``shift_heatmap`` and ``output_heatmaps``, as in mmpose.

        Returns:
            The instances; with ``output_heatmaps`` also a list of ``PixelData`` with ``heatmaps`` (K, H, W).
        """
        test_cfg = test_cfg or {}
        self._check_crops(batch_data_samples)
        heatmaps = self.predict_heatmaps(feats, batch_data_samples, test_cfg)
        instances = self.decode(heatmaps)
        if not test_cfg.get('output_heatmaps', False):
            return instances
        return instances, [PixelData(heatmaps=maps) for maps in heatmaps.detach()]

    def predict_heatmaps(self, feats, batch_data_samples: OptSampleList, test_cfg: dict) -> Tensor:
        """The heatmaps (B, K, H, W) that :meth:`predict` decodes, for the same arguments."""
        if not test_cfg.get('flip_test', False):
            return self.forward_last(feats)
        crops, mirrored = feats
        return flip_test_mean(
            self.forward_last(crops),
            self.forward_last(mirrored),
            flip_indices=batch_data_samples[0].metainfo['flip_indices'],
            flip_mode=test_cfg.get('flip_mode', 'heatmap'),
            shift_heatmap=test_cfg.get('shift_heatmap', False))

    def loss(self, feats, batch_data_samples: OptSampleList, train_cfg: Optional[dict] = None) -> dict:
        """Losses by name and ``acc_pose``, the share of keypoints in place, computed on the device.

        Args:
            feats: The backbone's features.
            batch_data_samples: The B samples, with the labels of the codec's ``encode``.
            train_cfg: Not used.

        Raises:
            ConfigError: The samples have no such labels.
        """
        self._check_crops(batch_data_samples)
        keypoints, visible = self._labels(batch_data_samples)
        if keypoints.shape[1] != self.out_channels:
            raise ConfigError(f'the samples have {keypoints.shape[1]} keypoints, the head has out_channels='
                              f'{self.out_channels}: set out_channels to the number of the dataset\'s keypoints')
        targets = self.decoder.render(keypoints, visible)
        outputs = self.forward(feats)
        losses = self.loss_module(outputs, targets, visible)
        losses['acc_pose'] = self._accuracy(outputs[-1][-1], keypoints, visible)
        return losses

    def _check_crops(self, samples: OptSampleList) -> None:
        """Refuse crops of another size than the decoder's, which would place every keypoint wrongly."""
        for sample in samples or ():
            size = sample.metainfo.get('input_size')
            if size is not None and tuple(size) != self.decoder.input_size:
                raise ConfigError(f'the pipeline cuts crops of input_size {tuple(size)}, the head\'s decoder has '
                                  f'input_size {self.decoder.input_size}: write the same codec in both')

    def _labels(self, samples: OptSampleList) -> Tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in px and their visibility (B, K), 0/1/2."""
        labels = [sample.gt_instance_labels for sample in samples]
        for name in ('keypoint_labels', 'keypoints_visible'):
            if name not in labels[0]:
                raise ConfigError(f'the samples have no label {name}: let the pipeline end in '
                                  "dict(type='GenerateTarget', encoder=codec) with the codec of this head's decoder "
                                  "(mmpose_mspn.CoarseToFineHeatmap, encode_as='keypoints') and PackPoseInputs")
        return (torch.cat([label.keypoint_labels for label in labels]),
                torch.cat([label.keypoints_visible for label in labels]))

    @torch.no_grad()
    def _accuracy(self, heatmaps: Tensor, keypoints: Tensor, visible: Tensor) -> Tensor:
        """Share of the labeled keypoints whose maximum lies within ``PCK_THRESHOLD`` of the right cell."""
        rows, columns = self.heatmap_shape
        w, h = self.decoder.input_size
        index = heatmaps.flatten(2).argmax(-1)
        # Sizes as numbers of Python: the host would wait until tensors of them were copied to a GPU.
        off_x = (index % columns - torch.floor(keypoints[..., 0] * columns / w)) / columns
        off_y = (torch.div(index, columns, rounding_mode='floor') - torch.floor(keypoints[..., 1] * rows / h)) / rows
        right = torch.stack([off_x, off_y], -1).norm(dim=-1) < PCK_THRESHOLD
        labeled = visible > NOT_LABELED
        return (right & labeled).sum() / labeled.sum().clamp(min=1)


def flip_test_mean(heatmaps: Tensor,
                   mirrored_heatmaps: Tensor,
                   flip_indices: Sequence[int],
                   flip_mode: str = 'heatmap',
                   shift_heatmap: bool = False) -> Tensor:
    """The heatmaps that the flip test decodes, (B, K, H, W).

    Args:
        heatmaps: (B, K, H, W) of the crops.
        mirrored_heatmaps: (B, K, H, W) of the mirrored crops; they are mirrored back first.
        flip_indices: For each of the K keypoints, the one that takes its place in a mirrored crop.
        flip_mode: See mmpose's ``flip_heatmaps``.
        shift_heatmap: Whether the heatmaps that are mirrored back move by one cell, which the official code does not
            do.
    """
    if flip_mode == 'heatmap':
        # On a GPU, a list as an index makes the host wait.
        order = _index(tuple(flip_indices), mirrored_heatmaps.device)
        mirrored_heatmaps, flip_indices = mirrored_heatmaps.index_select(1, order), None
    flipped_back = flip_heatmaps(
        mirrored_heatmaps, flip_mode=flip_mode, flip_indices=flip_indices, shift_heatmap=shift_heatmap)
    return (heatmaps + flipped_back) * 0.5


@lru_cache(maxsize=64)
def _index(indices: Tuple[int, ...], device: torch.device) -> Tensor:
    """The indices (K,) on ``device``."""
    return torch.tensor(indices, device=device)
