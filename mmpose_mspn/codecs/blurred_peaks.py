"""The two highest cells of blurred heatmaps, which the official decode reads (PROTOCOL, "Test protocol").

All of it is exact: the shortcut on a CPU looks at a map's surroundings of the maximum only where nothing else can be
among the two, and at the whole map otherwise.
"""
from functools import cache
from typing import Tuple

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

PIECE = 136
"""Maps that a CPU works on at a time, so that they stay in its caches."""
MARGIN = 2
"""Cells beyond the kernel's reach that the blur is computed for, around a map's maximum."""

ROUNDING = 1e-5
"""Share by which a blurred cell may, in float32, exceed the highest of the cells it is a mean of."""


def two_highest(heatmaps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """The two highest cells of each map, once zeros stand around it and it is blurred.

    Of cells that tie the first wins, as in the official code.

    Args:
        heatmaps: (B, K, H, W), float32.
        kernel: Odd size of the Gaussian blur in cells.

    Returns:
        values: (B, K, 2), highest first. If it is not above 0, the place is without meaning.
        places: (B, K, 2), counted along the rows of the (H + kernel - 1, W + kernel - 1) cells that the blur reaches.
    """
    if heatmaps.device.type != 'cpu':
        return _by_matrices(heatmaps, kernel)
    maps = heatmaps.flatten(0, 1).numpy()
    values, places = np.empty((len(maps), 2), np.float32), np.empty((len(maps), 2), np.int64)
    reach = kernel // 2
    # Zeros as far as the kernel reaches from the outermost cells whose blur can differ from zero.
    padded = np.zeros((min(PIECE, len(maps)), maps.shape[1] + 4 * reach, maps.shape[2] + 4 * reach), np.float32)
    for start in range(0, len(maps), PIECE):
        piece = slice(start, start + PIECE)
        values[piece], places[piece] = _of_piece(maps[piece], padded[:len(maps) - start], reach)
    shape = (*heatmaps.shape[:2], 2)
    return torch.from_numpy(values).reshape(shape), torch.from_numpy(places).reshape(shape)


def _by_matrices(heatmaps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """On the device of the maps, without a synchronization.

    In float64, which multiplies a kernel of 5, weights of n / 16, exactly: cells that tie, as around a symmetric peak,
    stay tied.
    """
    blur_x, blur_y = (_blur_matrix(cells, kernel, heatmaps.device) for cells in (heatmaps.shape[3], heatmaps.shape[2]))
    flat = (blur_y @ (heatmaps.double() @ blur_x.T)).flatten(2)
    value, place = flat.max(-1)
    second_value, second_place = flat.scatter(-1, place[..., None], 0).max(-1)
    return torch.stack([value, second_value], -1), torch.stack([place, second_place], -1)


@cache
def _blur_matrix(cells: int, kernel: int, device: torch.device) -> Tensor:
    """(cells + kernel - 1, cells): the blur, as OpenCV weighs it, of a line that continues with zeros."""
    weights = cv2.getGaussianKernel(kernel, 0)[:, 0]
    matrix = np.zeros((cells + kernel - 1, cells))
    for cell in range(cells):
        matrix[cell:cell + kernel, cell] = weights
    return torch.from_numpy(matrix).to(device)


def _of_piece(maps: np.ndarray, padded: np.ndarray, reach: int) -> Tuple[np.ndarray, np.ndarray]:
    """Values and places, (N, 2), of maps (N, H, W): from around the maximum where that is sure.

    ``padded`` takes the maps up: (N, H + 4 * reach, W + 4 * reach), zeros around them.
    """
    count, rows, columns = maps.shape
    side = 2 * (reach + MARGIN) + 1
    padded[:, 2 * reach:rows + 2 * reach, 2 * reach:columns + 2 * reach] = maps
    bottom, right = rows + 2 * reach - side, columns + 2 * reach - side  # the last places of a window of that side
    if min(bottom, right) < 0:
        return _of_whole_maps(padded, reach)
    windows = sliding_window_view(padded, (side + 2 * reach, side + 2 * reach), axis=(1, 2), writeable=True)
    each = np.arange(count)
    top, left = np.divmod(maps.reshape(count, -1).argmax(1), columns)
    top, left = (np.clip(start - MARGIN, 0, last) for start, last in ((top, bottom), (left, right)))
    window = windows[each, top, left]
    values, places = _highest(_blurred(window, reach))
    places = (places // side + top[:, None]) * (columns + 2 * reach) + places % side + left[:, None]
    # A blurred cell outside the window is a mean of cells outside its core, and of zeros.
    core = slice(2 * reach, side)
    windows[each, top, left, core, core] = -np.inf
    outside = padded.reshape(count, -1)
    highest = outside[each, outside.argmax(1)]
    unsure = ~(values[:, 1] > highest + ROUNDING * np.abs(highest))  # also where there are NaN
    if unsure.any():
        windows[each, top, left, core, core] = window[:, core, core]
        values[unsure], places[unsure] = _of_whole_maps(padded[unsure], reach)
    return values, places


def _of_whole_maps(padded: np.ndarray, reach: int) -> Tuple[np.ndarray, np.ndarray]:
    return _highest(_blurred(padded, reach))


def _blurred(maps: np.ndarray, reach: int) -> np.ndarray:
    """The cells whose kernel lies within the maps (N, H, W): OpenCV's blur, as the official code calls it.

    One image of all maps under one another: of what mixes at the seams nothing is read.
    """
    kernel = (2 * reach + 1, 2 * reach + 1)
    blurred = cv2.GaussianBlur(maps.reshape(-1, maps.shape[2]), kernel, 0, borderType=cv2.BORDER_CONSTANT)
    return blurred.reshape(maps.shape)[:, reach:maps.shape[1] - reach, reach:maps.shape[2] - reach]


def _highest(blurred: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Values and places, (N, 2), of the highest and, with a zero in its stead, the second highest cell."""
    flat, each = blurred.reshape(len(blurred), -1), np.arange(len(blurred))
    values, places = np.empty((len(flat), 2), np.float32), np.empty((len(flat), 2), np.int64)
    for rank in (0, 1):
        place = flat.argmax(1)
        values[:, rank], places[:, rank] = flat[each, place], place
        flat[each, place] = 0
    return values, places
