"""MSPN's heatmaps (section 3.3 of the paper): several kernel sizes for the same keypoints, coarse to fine.

Targets and decoding follow the official code to rounding (docs/protocol.md, "Targets and loss" and "Test protocol").
"""
from functools import lru_cache
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from torch import Tensor

from mmpose_mspn.codecs.decode import PEAK, decode
from mmpose_mspn.registry import KEYPOINT_CODECS
from mmpose_mspn.utils.arguments import refuse_unknown_arguments
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.numbers import NOT_LABELED, OCCLUDED, VISIBLE


def _check_kernel(name: str, size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ConfigError(f'{name} must hold odd numbers >= 1, got {size}')


@KEYPOINT_CODECS.register_module()
class CoarseToFineHeatmap(BaseKeypointCodec):
    """Renders all kernel levels of a batch at once, on the device, and decodes whole batches.

    ``encode``, which mmpose's ``GenerateTarget`` calls in the data workers, marks keypoints outside the crop as not
    labeled and returns keypoints. :meth:`render` makes heatmaps of them where the loss is computed, so that no worker
    sends five heatmaps per keypoint to the training process.

    Args:
        input_size: (w, h) of the input crop in px.
        heatmap_size: (W, H) of the heatmaps in cells.
        kernel_sizes: Sizes in cells of the Gaussian kernels, odd, one per level, coarse to fine.
        blur_kernel_size: Size in cells of the blur before decoding, odd: COCO 5, MPII 9 (docs/protocol.md, "Test
            protocol"); 1: no blur.
        encode_as: What ``encode`` returns. ``'keypoints'``: labels for :class:`MSPNHead`. ``'heatmaps'``: one
            rendered level, for mmpose's own heatmap heads; it takes a single kernel size (for a head with several
            levels give ``GenerateTarget`` one codec per level and ``multilevel=True``).

    Raises:
        ConfigError: A size is not positive, a kernel is even, or ``encode_as`` is unknown or does not fit the levels.
    """

    # What mmpose's PackPoseInputs packs: key in the results, name in gt_instance_labels. The visibility of the labels
    # has a key of its own, since under keypoints_visible it would replace the annotated one, which gt_instances keeps.
    label_mapping_table = dict(
        keypoint_labels='keypoint_labels',
        keypoint_labels_visible='keypoints_visible',
        keypoint_weights='keypoint_weights')
    field_mapping_table = dict(heatmaps='heatmaps')

    @refuse_unknown_arguments(dict(
        kernel_size='write one codec with kernel_sizes, all levels coarse to fine, instead of a list of codecs',
        sigma='omit it: the sigma follows from kernel_sizes by OpenCV\'s rule'))
    def __init__(self,
                 input_size: Tuple[int, int],
                 heatmap_size: Tuple[int, int],
                 kernel_sizes: Sequence[int] = (15, 11, 9, 7, 5),
                 blur_kernel_size: int = 5,
                 encode_as: str = 'keypoints') -> None:
        super().__init__()
        for name, size in (('input_size', input_size), ('heatmap_size', heatmap_size)):
            if len(size) != 2 or min(size) < 1:
                raise ConfigError(f'{name} must be two sizes >= 1 (width, height), got {size}')
        if len(kernel_sizes) == 0:
            raise ConfigError(f'kernel_sizes must hold at least one size, got {kernel_sizes}')
        for kernel in kernel_sizes:
            _check_kernel('kernel_sizes', kernel)
        _check_kernel('blur_kernel_size', blur_kernel_size)
        if encode_as not in ('keypoints', 'heatmaps'):
            raise ConfigError(f"encode_as must be 'keypoints' or 'heatmaps', got {encode_as!r}")
        if encode_as == 'heatmaps' and len(kernel_sizes) != 1:
            raise ConfigError("encode_as='heatmaps' takes one of kernel_sizes, since a heatmap field holds one map per "
                              f'keypoint, got {tuple(kernel_sizes)}: give GenerateTarget one codec per level')
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.kernel_sizes = tuple(kernel_sizes)
        self.blur_kernel_size = blur_kernel_size
        self.encode_as = encode_as

    # ------------------------------------------------------------------ encode

    def encode(self, keypoints: np.ndarray, keypoints_visible: Optional[np.ndarray] = None) -> dict:
        """Labels of N people for the loss.

        Args:
            keypoints: (N, K, 2) px.
            keypoints_visible: (N, K), 0 not labeled, 1 occluded, 2 visible; default: all visible.

        Returns:
            ``keypoint_labels`` (N, K, 2) px and ``keypoint_labels_visible`` (N, K), the visibility within the crop,
            which ``gt_instance_labels`` holds as ``keypoints_visible``; or, with ``encode_as='heatmaps'`` and N = 1,
            ``heatmaps`` (K, H, W) and ``keypoint_weights`` (1, K) in 0/1.

        Raises:
            ConfigError: ``encode_as='heatmaps'`` and N is not 1.
        """
        if keypoints_visible is None:
            keypoints_visible = np.full(keypoints.shape[:2], VISIBLE, np.float32)
        visible = self.visible_in_crop(keypoints, keypoints_visible)
        if self.encode_as == 'keypoints':
            return dict(keypoint_labels=keypoints.astype(np.float32), keypoint_labels_visible=visible)
        if len(keypoints) != 1:
            raise ConfigError(f"encode_as='heatmaps' takes one person per crop, got {len(keypoints)}")
        heatmaps = self.render(torch.from_numpy(keypoints), torch.from_numpy(visible))
        return dict(heatmaps=heatmaps[0, 0].numpy(), keypoint_weights=(visible > NOT_LABELED).astype(np.float32))

    def visible_in_crop(self, keypoints: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """``visible`` (N, K) with 0 for keypoints outside the crop (docs/protocol.md, "Targets and loss")."""
        last_px = np.array(self.input_size) - 1
        inside = np.logical_and(keypoints >= 0, keypoints <= last_px).all(-1)
        return np.where(inside, visible, NOT_LABELED).astype(np.float32)

    def render(self, keypoints: Tensor, visible: Tensor) -> Tensor:
        """Target heatmaps of all levels.

        A unit impulse in the keypoint's cell is blurred by the kernel of each level and scaled to a maximum of 255. The
        Gaussian is separable, so a heatmap is the outer product of two rows of tables that are computed once.

        Args:
            keypoints: (B, K, 2) px.
            visible: (B, K), 0/1/2; a keypoint that is not labeled (0) or lies outside the crop has a map of zeros.

        Returns:
            (B, L, K, H, W), float32, on the device of ``keypoints``.

        Raises:
            ValueError: The shapes do not fit.
        """
        if keypoints.ndim != 3 or keypoints.shape[-1] != 2 or visible.shape != keypoints.shape[:2]:
            raise ValueError('keypoints must be (B, K, 2) and visible (B, K), got '
                             f'{tuple(keypoints.shape)} and {tuple(visible.shape)}')
        (w, h), (columns, rows) = self.input_size, self.heatmap_size
        cell_x = torch.floor(keypoints[..., 0] * columns / w)
        cell_y = torch.floor(keypoints[..., 1] * rows / h)
        drawn = (visible >= OCCLUDED) & (cell_x >= 0) & (cell_x < columns) & (cell_y >= 0) & (cell_y < rows)
        # Where nothing is drawn, any cell within the map will do. NaN cannot be an index.
        cell_x = torch.where(drawn, cell_x, 0).long()
        cell_y = torch.where(drawn, cell_y, 0).long()
        levels, profiles = len(self.kernel_sizes), _profiles(columns, rows, self.kernel_sizes, keypoints.device)
        of_columns, of_rows = profiles.split([columns * levels * columns, rows * levels * rows])
        x = of_columns.view(columns, levels, columns)[cell_x].transpose(1, 2)  # (B, L, K, W)
        y = of_rows.view(rows, levels, rows)[cell_y] * drawn[..., None, None]
        y = (y * PEAK).transpose(1, 2)  # (B, L, K, H)
        heatmaps = x.new_empty(*x.shape[:3], rows, columns)
        return torch.mul(y[..., :, None], x[..., None, :], out=heatmaps)

    # ------------------------------------------------------------------ decode

    def decode(self, encoded: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Keypoints (1, K, 2) in px and scores (1, K) of one sample's heatmaps (K, H, W)."""
        keypoints, scores = self.batch_decode(torch.from_numpy(encoded)[None])
        return keypoints[0], scores[0]

    def batch_decode(self, heatmaps: Tensor) -> Tuple[List[np.ndarray], List[np.ndarray]]:
        """Keypoints of a batch and their scores (docs/protocol.md, "Test protocol").

        Args:
            heatmaps: (B, K, H, W), the network's output or the flip test's mean.

        Returns:
            B arrays (1, K, 2) in px and B arrays (1, K) of scores: the map before the blur at the rounded position,
            / 255 + 0.5.

        Raises:
            ConfigError: The shape does not fit ``heatmap_size``.
        """
        columns, rows = self.heatmap_size
        if heatmaps.ndim != 4 or heatmaps.shape[2:] != (rows, columns):
            raise ConfigError(f'heatmaps must be (B, K, {rows}, {columns}) by heatmap_size, got '
                              f'{tuple(heatmaps.shape)}')
        heatmaps = heatmaps.detach().float()
        # One sample after the other on a CPU, whose caches hold the float64 maps of one.
        pieces = heatmaps.split(1) if heatmaps.device.type == 'cpu' else (heatmaps, )
        decoded = [decode(piece, self.input_size, self.blur_kernel_size) for piece in pieces]
        points = torch.cat([torch.cat([keypoints, scores[..., None].double()], -1) for keypoints, scores in decoded])
        points = points.cpu().numpy()  # the only synchronization
        return list(points[:, None, :, :2]), list(points[:, None, :, 2].astype(np.float32))


def _profiles(columns: int, rows: int, kernel_sizes: Tuple[int, ...], device: torch.device) -> Tensor:
    """:func:`_made_profiles` of rows and of columns of a heatmap, one after the other in one line, made once."""
    return _made_profiles(columns, rows, kernel_sizes, device)


# Makes the line a constant of graphs of torch.compile, which cannot trace OpenCV. It is what
# torch.compiler.assume_constant_result does, whose call would import the whole compiler with this package. A graph
# takes one such constant of a function.
_profiles._dynamo_marked_constant = True


@lru_cache(maxsize=256)
def _made_profiles(columns: int, rows: int, kernel_sizes: Tuple[int, ...], device: torch.device) -> Tensor:
    """On ``device``, (columns, L, columns) and (rows, L, rows), flattened and joined.

    At [c, l] of each stands a line with an impulse in cell c, blurred by kernel l, maximum 1. OpenCV provides the
    kernel and the rule at the border.
    """
    profiles = []
    for cells in (columns, rows):
        lines = [cv2.GaussianBlur(np.eye(cells), (kernel, 1), 0) for kernel in kernel_sizes]
        profiles.append(np.stack([line / line.max(1, keepdims=True) for line in lines], 1).ravel())
    return torch.from_numpy(np.concatenate(profiles)).float().to(device)
