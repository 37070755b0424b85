"""The official decode (docs/protocol.md, "Test protocol"), the same one on a CPU, on a GPU and in exported graphs.

It is computed in float64, as by the official code, which decides so between cells that are equal in float32. OpenCV's
weights of kernels up to 9 are n / 256, with which float64 is exact: cells that tie, as around a symmetric peak, stay
tied, and of them the first in row order wins. With larger kernels the rounding decides between such cells, here and in
the official code.
"""
from functools import lru_cache
from typing import List, Tuple

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

PEAK = 255.0
"""Maximum of every target heatmap."""
BORDER = 10
"""Cells of zeros that the official decode adds on each side of a map."""
SHIFT = 0.25
"""Distance in cells by which a keypoint moves from the highest towards the second highest cell."""


def decode(heatmaps: Tensor, input_size: Tuple[int, int], blur_kernel_size: int) -> Tuple[Tensor, Tensor]:
    """Keypoints and their scores, in operators that a graph can hold and without a synchronization.

    Args:
        heatmaps: (B, K, H, W), float32.
        input_size: (w, h) of the input crop in px.
        blur_kernel_size: Size in cells of the blur, odd; 1: no blur.

    Returns:
        Keypoints (B, K, 2) in px, float64, and scores (B, K), float32: the map before the blur at the rounded position,
        / 255 + 0.5.
    """
    rows, columns = heatmaps.shape[2:]
    reach = blur_kernel_size // 2
    values, places = two_highest(blurred(heatmaps.double(), blur_kernel_size).flatten(2))
    width = columns + 2 * reach
    cells = torch.stack([places % width, torch.div(places, width, rounding_mode='floor')], -1) - reach
    # Where no cell is above the zeros of the border, the first of those zeros is the maximum: the border's corner.
    cells = torch.where((values > 0)[..., None], cells, -BORDER).double()
    highest, move = cells[:, :, 0], cells[:, :, 1] - cells[:, :, 0]
    distance = (move * move).sum(-1, keepdim=True).sqrt()
    position = torch.where(distance > 1e-3, highest + SHIFT * move / distance.clamp(min=1e-3), highest)
    x, y = position[..., 0].clamp(0, columns - 1), position[..., 1].clamp(0, rows - 1)
    nearest = y.round().long() * columns + x.round().long()
    scores = heatmaps.flatten(2).gather(2, nearest[..., None])[..., 0] / PEAK + 0.5
    # Numbers of Python instead of tensors: the host would wait until these were copied to a GPU.
    stride_x, stride_y = input_size[0] / columns, input_size[1] / rows
    return torch.stack([x * stride_x + stride_x / 2, y * stride_y + stride_y / 2], -1), scores


def blurred(maps: Tensor, kernel: int) -> Tensor:
    """The maps (B, K, H, W), float64, blurred, with the cells around them that the blur reaches.

    Each pair of cells at the same distance is added before it is weighted. So cells that mirror each other stay equal
    even where a runtime computes in float32, as OpenVINO does; the additions of a matrix product would separate them.

    Returns:
        (B, K, H + kernel - 1, W + kernel - 1).
    """
    middle, *weights = _weights(kernel)
    reach = kernel // 2
    for dim in (-1, -2):
        size = maps.shape[dim] + 2 * reach
        padded = F.pad(maps, (2 * reach, 2 * reach, 0, 0) if dim == -1 else (0, 0, 2 * reach, 2 * reach))
        maps = middle * padded.narrow(dim, reach, size)
        for distance, weight in enumerate(weights, 1):
            pair = padded.narrow(dim, reach - distance, size) + padded.narrow(dim, reach + distance, size)
            maps = maps + weight * pair
    return maps


@lru_cache(maxsize=16)
def _weights(kernel: int) -> List[float]:
    """OpenCV's weights of a Gaussian blur, from the middle outwards."""
    return cv2.getGaussianKernel(kernel, 0)[kernel // 2:, 0].tolist()


def two_highest(cells: Tensor) -> Tuple[Tensor, Tensor]:
    """Values and places (B, K, 2) of the two highest cells of (B, K, C); of cells that tie, the first one.

    Runtimes differ in which of several equal cells TopK and ArgMax find (OpenVINO not always the first).
    """
    index = torch.arange(cells.shape[-1], device=cells.device)
    values, places = [], []
    for _ in range(2):
        value = cells.amax(-1, keepdim=True)
        place = torch.where(cells == value, index, cells.shape[-1] - 1).amin(-1, keepdim=True)
        values.append(value)
        places.append(place)
        cells = torch.where(index == place, 0., cells)  # as the official code does
    return torch.cat(values, -1), torch.cat(places, -1)
