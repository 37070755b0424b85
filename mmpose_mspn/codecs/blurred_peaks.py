"""The two highest cells of blurred heatmaps, from which the official decode starts (docs/protocol.md, "Test protocol").

The official code blurs in float64. On a CPU, float32 is used as long as it determines the two cells: only the
surroundings of a map's maximum are blurred where no other cell can be among the two highest, and the whole map
otherwise. Where cells are equal to the rounding of float32, as around a symmetric peak, the map is blurred in float64
by the official code's function.
"""
from functools import cache
from typing import Tuple

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

PIECE = 136
"""Number of maps that a CPU processes at a time, so that they stay in its caches."""
MARGIN = 2
"""Number of cells beyond the kernel's reach, around a map's maximum, for which the blur is computed."""


def two_highest(heatmaps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """The two highest cells of each map, after it is padded with zeros and blurred.

    Of cells that tie the first in row order wins, as in the official code.

    Args:
        heatmaps: (B, K, H, W), float32.
        kernel: Size of the Gaussian blur in cells, odd.

    Returns:
        values: (B, K, 2), highest first.
        cells: (B, K, 2, 2), (x, y) of each, int64. The blur also reaches (kernel - 1) / 2 cells beyond the map on each
            side, so x lies between -(kernel - 1) / 2 and W - 1 + (kernel - 1) / 2. Without meaning where the value is
            not above 0.
    """
    find = _two_highest_on_cpu if heatmaps.device.type == 'cpu' else _two_highest_by_matrices
    return find(heatmaps, kernel)


def _two_highest_on_cpu(heatmaps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """:func:`two_highest` by OpenCV, a piece of the batch at a time."""
    maps = heatmaps.flatten(0, 1).numpy()
    values, places = np.empty((len(maps), 2), np.float32), np.empty((len(maps), 2), np.int64)
    reach = kernel // 2
    # Zeros as far as the kernel reaches from the outermost cells whose blur can differ from zero.
    padded = np.zeros((min(PIECE, len(maps)), maps.shape[1] + 4 * reach, maps.shape[2] + 4 * reach), np.float32)
    for start in range(0, len(maps), PIECE):
        piece = slice(start, start + PIECE)
        values[piece], places[piece] = _of_piece(maps[piece], padded[:len(maps) - start], reach)
    shape = (*heatmaps.shape[:2], 2)
    places = torch.from_numpy(places).reshape(shape)
    return torch.from_numpy(values).reshape(shape), _cells(places, heatmaps.shape[3], reach)


def _two_highest_by_matrices(heatmaps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """:func:`two_highest` on the device of the maps, without a synchronization.

    In float64, in which OpenCV's kernels up to 9 are exact, since their weights are n / 256: cells that tie, as around
    a symmetric peak, stay tied. With larger kernels the rounding decides between such cells, here and in the official
    code.
    """
    blur_x, blur_y = (_blur_matrix(cells, kernel, heatmaps.device) for cells in (heatmaps.shape[3], heatmaps.shape[2]))
    flat = (blur_y @ (heatmaps.double() @ blur_x.T)).flatten(2)
    value, place = flat.max(-1)
    second_value, second_place = flat.scatter(-1, place[..., None], 0).max(-1)
    places = torch.stack([place, second_place], -1)
    return torch.stack([value, second_value], -1), _cells(places, heatmaps.shape[3], kernel // 2)


def _cells(places: Tensor, columns: int, reach: int) -> Tensor:
    """Cells (x, y) of a map from places in row order among the cells that the blur reaches."""
    width = columns + 2 * reach
    return torch.stack([places % width, torch.div(places, width, rounding_mode='floor')], -1) - reach


@cache
def _blur_matrix(cells: int, kernel: int, device: torch.device) -> Tensor:
    """(cells + kernel - 1, cells): blurs a line that is padded with zeros, with OpenCV's weights."""
    weights = cv2.getGaussianKernel(kernel, 0)[:, 0]
    matrix = np.zeros((cells + kernel - 1, cells))
    for cell in range(cells):
        matrix[cell:cell + kernel, cell] = weights
    return torch.from_numpy(matrix).to(device)


def _of_piece(maps: np.ndarray, padded: np.ndarray, reach: int) -> Tuple[np.ndarray, np.ndarray]:
    """Values and places, (N, 2), of maps (N, H, W): from the surroundings of the maximum where those suffice.

    Args:
        maps: The maps.
        padded: (N, H + 4 * reach, W + 4 * reach), zeros at its borders; the maps are written to its middle.
        reach: (kernel - 1) / 2.

    Returns:
        Values, and places in row order among the (H + 2 * reach, W + 2 * reach) cells that the blur reaches.
    """
    count, rows, columns = maps.shape
    side = 2 * (reach + MARGIN) + 1
    padded[:, 2 * reach:rows + 2 * reach, 2 * reach:columns + 2 * reach] = maps
    bottom, right = rows + 2 * reach - side, columns + 2 * reach - side  # the last position of a window
    if min(bottom, right) < 0:
        return _of_whole_maps(padded, reach)
    windows = sliding_window_view(padded, (side + 2 * reach, side + 2 * reach), axis=(1, 2), writeable=True)
    each = np.arange(count)
    top, left = np.divmod(maps.reshape(count, -1).argmax(1), columns)
    top, left = (np.clip(start - MARGIN, 0, last) for start, last in ((top, bottom), (left, right)))
    window = windows[each, top, left]
    values, places = _highest(_blurred(window, reach), 3)
    places = (places // side + top[:, None]) * (columns + 2 * reach) + places % side + left[:, None]
    rounding = _rounding(reach)
    error = rounding * _largest(window)
    # A blurred cell outside the window is a mean of cells outside its core, and of zeros.
    core = slice(2 * reach, side)
    windows[each, top, left, core, core] = -np.inf
    outside = padded.reshape(count, -1)
    highest = outside[each, outside.argmax(1)]
    has_rival = ~(values[:, 1] > highest + rounding * np.abs(highest) + error)  # also where there are NaN
    tied = ~has_rival & ~_are_distinct(values, error)
    values, places = values[:, :2], places[:, :2]
    again = np.flatnonzero(has_rival | tied)
    windows[again, top[again], left[again], core, core] = window[again, core, core]
    if has_rival.any():
        values[has_rival], places[has_rival] = _of_whole_maps(padded[has_rival], reach)
    if tied.any():
        values[tied], places[tied] = _in_float64(padded[tied], reach)
    return values, places


def _of_whole_maps(padded: np.ndarray, reach: int) -> Tuple[np.ndarray, np.ndarray]:
    """Values and places, (N, 2), of padded maps (N, H + 4 * reach, W + 4 * reach)."""
    values, places = _highest(_blurred(padded, reach), 3)
    tied = ~_are_distinct(values, _rounding(reach) * _largest(padded))
    values, places = values[:, :2], places[:, :2]
    if tied.any():
        values[tied], places[tied] = _in_float64(padded[tied], reach)
    return values, places


def _in_float64(padded: np.ndarray, reach: int) -> Tuple[np.ndarray, np.ndarray]:
    """:func:`_of_whole_maps` with the official code's rounding, which decides between cells that tie."""
    return _highest(_blurred(padded.astype(np.float64), reach), 2)


def _rounding(reach: int) -> float:
    """Bound of the error of a cell that is blurred in float32, as a share of the largest absolute value around it.

    Each of the two passes rounds 2 * reach + 1 weights, products and sums, in any order, by at most 2^-24 each, and the
    weights' sum is 1: twice (2 * reach + 2) * 2^-24 to first order.
    """
    return 2 * (2 * reach + 3) * 2.**-24


def _are_distinct(values: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Whether errors below ``error`` (N,) leave the order of three values (N, 3) and the signs of the first two.

    False for NaN.
    """
    with np.errstate(invalid='ignore'):  # infinity minus infinity
        gaps = np.minimum(values[:, 0] - values[:, 1], values[:, 1] - values[:, 2])
    return (gaps > 2 * error) & (np.minimum(np.abs(values[:, 0]), np.abs(values[:, 1])) > error)


def _largest(maps: np.ndarray) -> np.ndarray:
    """The largest absolute value (N,) of each map (N, H, W); NaN where there is one."""
    flat, each = maps.reshape(len(maps), -1), np.arange(len(maps))
    return np.maximum(flat[each, flat.argmax(1)], -flat[each, flat.argmin(1)])  # faster than np.abs(flat).max(1)


def _blurred(maps: np.ndarray, reach: int) -> np.ndarray:
    """The maps (N, H, W) blurred by OpenCV, as in the official code, without the outermost ``reach`` cells.

    OpenCV gets the maps as one image, one below the other. Cells where neighboring maps mix are not returned.
    """
    kernel = (2 * reach + 1, 2 * reach + 1)
    blurred = cv2.GaussianBlur(maps.reshape(-1, maps.shape[2]), kernel, 0, borderType=cv2.BORDER_CONSTANT)
    return blurred.reshape(maps.shape)[:, reach:maps.shape[1] - reach, reach:maps.shape[2] - reach]


def _highest(blurred: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Values and places, (N, count): each time the highest cell, which is then set to zero, as in the official code.

    The values are float32, the cells are compared in the type of ``blurred``.
    """
    flat, each = blurred.reshape(len(blurred), -1), np.arange(len(blurred))
    values, places = np.empty((len(flat), count), np.float32), np.empty((len(flat), count), np.int64)
    for rank in range(count):
        place = flat.argmax(1)
        values[:, rank], places[:, rank] = flat[each, place], place
        flat[each, place] = 0
    return values, places
