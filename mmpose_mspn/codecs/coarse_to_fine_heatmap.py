"""The heatmaps of MSPN (section 3.3 of the paper): several kernel sizes of the same joints, coarse to fine.

Targets and decoding follow the official code to rounding (PROTOCOL, "Targets and loss" and "Test protocol").
"""
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from torch import Tensor

from mmpose_mspn.codecs.blurred_peaks import two_highest
from mmpose_mspn.registry import KEYPOINT_CODECS

PEAK = 255.0
"""Maximum of every target heatmap."""
BORDER = 10
"""Cells of zeros that the official decode puts around a map."""
SHIFT = 0.25
"""Cells from the highest towards the second highest cell."""


def _check_kernel(name: str, size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f'{name} must hold odd numbers >= 1, got {size}')


@KEYPOINT_CODECS.register_module()
class CoarseToFineHeatmap(BaseKeypointCodec):
    """Renders all kernel levels of a batch at once, on the device, and decodes whole batches.

    ``encode``, called by mmpose's ``GenerateTarget`` in the data workers, leaves out-of-crop joints invisible and
    ships keypoints; :meth:`render` turns them into heatmaps where the loss is computed, so that no worker sends
    five heatmaps a joint to the training process.

    Args:
        input_size: (w, h) of the input crop in px.
        heatmap_size: (W, H) of the heatmaps in cells.
        kernel_sizes: Odd sizes in cells of the Gaussian kernels, one a level, coarse to fine.
        blur_kernel_size: Odd size in cells of the blur before decoding: COCO 5, MPII 9 (PROTOCOL, "Test protocol");
            1 switches it off.
        encode_as: What ``encode`` returns. ``'keypoints'``: labels for :class:`MSPNHead`. ``'heatmaps'``: one
            rendered level, for mmpose's own heatmap heads; it takes a single kernel size (for a head with several
            levels give ``GenerateTarget`` one codec a level and ``multilevel=True``).

    Raises:
        ValueError: A size is not positive, a kernel is even, or ``encode_as`` is unknown or does not fit the levels.
    """

    label_mapping_table = dict(
        keypoint_labels='keypoint_labels', keypoint_weights='keypoint_weights')
    field_mapping_table = dict(heatmaps='heatmaps')

    def __init__(self,
                 input_size: Tuple[int, int],
                 heatmap_size: Tuple[int, int],
                 kernel_sizes: Sequence[int] = (15, 11, 9, 7, 5),
                 blur_kernel_size: int = 5,
                 encode_as: str = 'keypoints') -> None:
        super().__init__()
        for name, size in (('input_size', input_size), ('heatmap_size', heatmap_size)):
            if len(size) != 2 or min(size) < 1:
                raise ValueError(f'{name} must be two sizes >= 1 (width, height), got {size}')
        if len(kernel_sizes) == 0:
            raise ValueError(f'kernel_sizes must hold at least one size, got {kernel_sizes}')
        for kernel in kernel_sizes:
            _check_kernel('kernel_sizes', kernel)
        _check_kernel('blur_kernel_size', blur_kernel_size)
        if encode_as not in ('keypoints', 'heatmaps'):
            raise ValueError(f"encode_as must be 'keypoints' or 'heatmaps', got {encode_as!r}")
        if encode_as == 'heatmaps' and len(kernel_sizes) != 1:
            raise ValueError("encode_as='heatmaps' takes one of kernel_sizes, since a heatmap field holds one map a "
                             f'keypoint, got {tuple(kernel_sizes)}: give GenerateTarget one codec a level')
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.kernel_sizes = tuple(kernel_sizes)
        self.blur_kernel_size = blur_kernel_size
        self.encode_as = encode_as
        columns, rows = self.heatmap_size
        self._profiles_x = torch.stack([_profiles(columns, k) for k in self.kernel_sizes], 1)
        self._profiles_y = torch.stack([_profiles(rows, k) for k in self.kernel_sizes], 1)

    # ------------------------------------------------------------------ encode

    def encode(self, keypoints: np.ndarray, keypoints_visible: Optional[np.ndarray] = None) -> dict:
        """Labels of N people for the loss.

        Args:
            keypoints: (N, K, 2) px.
            keypoints_visible: (N, K), 0 not labeled, 1 occluded, 2 visible; all visible if not given.

        Returns:
            ``keypoint_labels`` (N, K, 2) px and ``keypoint_weights`` (N, K), the visibility with joints outside
            the crop set to 0; or, with ``encode_as='heatmaps'`` and N = 1, ``heatmaps`` (K, H, W) and
            ``keypoint_weights`` (1, K) in 0/1.
        """
        if keypoints_visible is None:
            keypoints_visible = np.full(keypoints.shape[:2], 2, np.float32)
        visible = self.visible_in_crop(keypoints, keypoints_visible)
        if self.encode_as == 'keypoints':
            return dict(keypoint_labels=keypoints.astype(np.float32), keypoint_weights=visible)
        if len(keypoints) != 1:
            raise ValueError(f"encode_as='heatmaps' takes one person a crop, got {len(keypoints)}")
        heatmaps = self.render(torch.from_numpy(keypoints), torch.from_numpy(visible))
        return dict(heatmaps=heatmaps[0, 0].numpy(), keypoint_weights=(visible > 0).astype(np.float32))

    def visible_in_crop(self, keypoints: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """``visible`` (N, K) with 0 for the joints that lie outside the crop (PROTOCOL, "Targets and loss")."""
        last_px = np.array(self.input_size) - 1
        inside = np.logical_and(keypoints >= 0, keypoints <= last_px).all(-1)
        return np.where(inside, visible, 0).astype(np.float32)

    def render(self, keypoints: Tensor, visible: Tensor) -> Tensor:
        """Target heatmaps of all levels.

        A unit impulse in the joint's cell, blurred by a kernel of each level and scaled to a maximum of 255. The
        Gaussian is separable, so this is the outer product of two rows of tables made once.

        Args:
            keypoints: (B, K, 2) px.
            visible: (B, K); joints below 1 get a map of zeros, as do joints outside the map.

        Returns:
            (B, L, K, H, W), float32, on the device of ``keypoints``.
        """
        if keypoints.ndim != 3 or keypoints.shape[-1] != 2 or visible.shape != keypoints.shape[:2]:
            raise ValueError('keypoints must be (B, K, 2) and visible (B, K), got '
                             f'{tuple(keypoints.shape)} and {tuple(visible.shape)}')
        (w, h), (columns, rows) = self.input_size, self.heatmap_size
        device = keypoints.device
        self._profiles_x = self._profiles_x.to(device)
        self._profiles_y = self._profiles_y.to(device)
        cell_x = torch.floor(keypoints[..., 0] * columns / w)
        cell_y = torch.floor(keypoints[..., 1] * rows / h)
        drawn = (visible >= 1) & (cell_x >= 0) & (cell_x < columns) & (cell_y >= 0) & (cell_y < rows)
        # Where nothing is drawn any cell will do; NaN must not become an index.
        cell_x = torch.where(drawn, cell_x, 0).long()
        cell_y = torch.where(drawn, cell_y, 0).long()
        x = self._profiles_x[cell_x].transpose(1, 2)  # (B, L, K, W)
        y = self._profiles_y[cell_y] * drawn[..., None, None]
        y = (y * PEAK).transpose(1, 2)  # (B, L, K, H)
        heatmaps = x.new_empty(*x.shape[:3], rows, columns)
        return torch.mul(y[..., :, None], x[..., None, :], out=heatmaps)

    # ------------------------------------------------------------------ decode

    def decode(self, encoded: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Keypoints (1, K, 2) in px and scores (1, K) of one sample's heatmaps (K, H, W)."""
        keypoints, scores = self.batch_decode(torch.from_numpy(encoded)[None])
        return keypoints[0], scores[0]

    def batch_decode(self, heatmaps: Tensor) -> Tuple[List[np.ndarray], List[np.ndarray]]:
        """Keypoints of a batch (PROTOCOL, "Test protocol").

        Args:
            heatmaps: (B, K, H, W), the network's output or the flip test's average.

        Returns:
            B arrays (1, K, 2) in px and B arrays (1, K) of scores: heatmap / 255 + 0.5.
        """
        columns, rows = self.heatmap_size
        if heatmaps.ndim != 4 or heatmaps.shape[2:] != (rows, columns):
            raise ValueError(f'heatmaps must be (B, K, {rows}, {columns}) by heatmap_size, got '
                             f'{tuple(heatmaps.shape)}')
        heatmaps = heatmaps.detach().float()
        cells = self._refined_maximum(heatmaps)
        last_cell = cells.new_tensor([columns - 1, rows - 1])
        cells = torch.minimum(cells.clamp(min=0), last_cell)
        nearest = cells.round().long()
        scores = heatmaps.flatten(2).gather(
            2, (nearest[..., 1] * columns + nearest[..., 0])[..., None])[..., 0] / PEAK + 0.5
        stride = cells.new_tensor(self.input_size) / cells.new_tensor(self.heatmap_size)
        keypoints = cells * stride + stride / 2
        found = torch.cat([keypoints, scores[..., None].to(keypoints)], -1).cpu().numpy()  # the one synchronization
        return list(found[:, None, :, :2]), list(found[:, None, :, 2].astype(np.float32))

    def _refined_maximum(self, heatmaps: Tensor) -> Tensor:
        """(B, K, 2) cells (x, y), float64: the blurred map's maximum, moved towards its second."""
        values, places = two_highest(heatmaps, self.blur_kernel_size)
        width = self.heatmap_size[0] + self.blur_kernel_size - 1
        cells = torch.stack([places % width, torch.div(places, width, rounding_mode='floor')], -1)
        # No cell above the zeros of the border: the maximum is their first, the border's corner.
        cells = torch.where((values > 0)[..., None], cells - self.blur_kernel_size // 2, -BORDER).double()
        first, move = cells[..., 0, :], cells[..., 1, :] - cells[..., 0, :]
        length = move.norm(dim=-1, keepdim=True)
        return torch.where(length > 1e-3, first + SHIFT * move / length, first)


def _profiles(cells: int, kernel: int) -> Tensor:
    """(cells, cells): row c is a blurred impulse in cell c, its maximum 1. OpenCV supplies kernel and border rule."""
    blurred = cv2.GaussianBlur(np.eye(cells), (kernel, 1), 0)
    return torch.from_numpy(blurred / blurred.max(1, keepdims=True)).float()
