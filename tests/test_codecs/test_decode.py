"""The decode finds the cells that the official code finds in the blurred map."""
from typing import Tuple

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor

from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.codecs.decode import blurred, two_highest


def highest_cells(maps: Tensor, kernel: int) -> Tuple[Tensor, Tensor]:
    """Values (B, K, 2) and cells (B, K, 2, 2), (x, y), of the two highest cells of blurred maps (B, K, H, W)."""
    values, places = two_highest(blurred(maps.double(), kernel).flatten(2))
    width = maps.shape[3] + kernel - 1
    return values, torch.stack([places % width, places // width], -1) - kernel // 2


def by_definition(heatmap: np.ndarray, kernel: int):
    """Values and cells (x, y) of one map, by the official code's steps."""
    blurred = cv2.GaussianBlur(np.pad(heatmap, kernel - 1), (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT)
    reach, width = kernel // 2, heatmap.shape[1] + kernel - 1
    blurred = blurred[reach:blurred.shape[0] - reach, reach:blurred.shape[1] - reach].copy()
    found = []
    for _ in range(2):
        place = int(blurred.argmax())
        found.append((blurred.flat[place], (place % width - reach, place // width - reach)))
        blurred.flat[place] = 0
    return tuple(zip(*found))


def bumps(rng: np.random.Generator, rows: int, columns: int, count: int) -> np.ndarray:
    """A map like that of a crowd: peaks of several heights, some of them beyond the border, on noise."""
    y, x = np.mgrid[:rows, :columns]
    heatmap = rng.normal(0, rng.choice([0, 3, 30]), (rows, columns))
    for _ in range(count):
        at_y, at_x = rng.uniform(-3, rows + 3), rng.uniform(-3, columns + 3)
        heatmap += rng.uniform(-50, 255) * np.exp(-((y - at_y)**2 + (x - at_x)**2) / (2 * rng.uniform(.5, 4)**2))
    return heatmap.astype(np.float32)


def in_float64(heatmap: np.ndarray, kernel: int):
    """Cells (x, y) of one map by the official steps: a border of 10 zeros, and float64."""
    blurred = cv2.GaussianBlur(np.pad(heatmap.astype(np.float64), 10), (kernel, kernel), 0)
    found = []
    for _ in range(2):
        y, x = np.unravel_index(blurred.argmax(), blurred.shape)
        found.append([x - 10, y - 10])
        blurred[y, x] = 0
    return found


@pytest.mark.parametrize('kernel', [3, 5, 7, 9])
def test_cells_that_tie_around_symmetric_peaks(kernel, device):
    """Targets of all levels, in the corners, at the borders and inside: most of them tie after the blur.

    With larger kernels, whose weights are rounded, the order of the summands decides between cells that tie.
    """
    codec = CoarseToFineHeatmap((48, 64), (12, 16), kernel_sizes=(15, 11, 9, 7, 5, 3, 1))
    cells = torch.stack(torch.meshgrid(torch.arange(12), torch.arange(16), indexing='ij'), -1).reshape(1, -1, 2)
    maps = codec.render(cells * 4 + 2., torch.full(cells.shape[:2], 2))[0]
    _, found = highest_cells(maps.to(device), kernel)
    expected = [[in_float64(heatmap, kernel) for heatmap in level] for level in maps.numpy()]
    assert_array_equal(found.cpu(), expected)


@pytest.mark.parametrize('size', [(48, 64), (72, 96)])
def test_targets_decode_as_by_the_official_code(size, device):
    """The whole decode of targets without noise, against float64 and the recorded rules."""
    columns, rows = size
    codec = CoarseToFineHeatmap((columns * 4, rows * 4), size)
    joints = np.random.default_rng(0).uniform(0, [columns * 4 - 1, rows * 4 - 1], (1, 51, 2))
    maps = codec.render(torch.from_numpy(joints), torch.full((1, 51), 2))[0]
    found, scores = codec.batch_decode(maps.to(device))
    for level in range(len(maps)):
        for joint, heatmap in enumerate(maps[level].numpy()):
            first, second = np.array(in_float64(heatmap, 5), np.float64)
            length = np.linalg.norm(second - first)
            cell = np.clip(first + .25 * (second - first) / length, 0, [columns - 1, rows - 1])
            assert_allclose(found[level][0, joint], cell * 4 + 2, atol=1e-9)
            nearest = np.round(cell).astype(int)
            assert scores[level][0, joint] == pytest.approx(heatmap[nearest[1], nearest[0]] / 255 + .5)


@pytest.mark.parametrize('shift', [1e-7, 1e-6, -1e-6, 3e-6])
def test_cells_that_almost_tie(shift):
    """Two equal peaks of which one is higher by less than, about or more than the rounding of float32."""
    heatmap = (peak((10, 10)) + peak((50, 30)) * np.float32(1 + shift)).astype(np.float32)
    _, cells = highest_cells(torch.from_numpy(heatmap)[None, None], 5)
    assert cells[0, 0].tolist() == in_float64(heatmap, 5)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), columns=st.integers(1, 40),
       count=st.integers(0, 4), kernel=st.sampled_from([1, 3, 5, 9, 11]))
def test_the_two_highest_of_whole_maps(seed, rows, columns, count, kernel):
    rng = np.random.default_rng(seed)
    maps = np.stack([bumps(rng, rows, columns, count) for _ in range(3)])
    values, cells = highest_cells(torch.from_numpy(maps)[None], kernel)
    assert values.shape == (1, 3, 2) and cells.shape == (1, 3, 2, 2) and cells.dtype == torch.int64
    for heatmap, value, cell in zip(maps, values[0].numpy(), cells[0].tolist()):
        expected, expected_cells = by_definition(heatmap.astype(np.float64), kernel)
        if expected[1] <= 0:
            assert value[1] <= 1e-9
            continue
        assert_allclose(value, expected, rtol=1e-12)
        # If two cells are equal to rounding, either may be the highest.
        if expected[0] - expected[1] > 1e-12 * expected[0]:
            assert tuple(cell[0]) == expected_cells[0]


def peak(at, height=200.):
    y, x = np.mgrid[:64, :48]
    return height * np.exp(-((y - at[0])**2 + (x - at[1])**2) / 4).astype(np.float32)


def test_a_cell_beyond_the_map_has_a_negative_coordinate():
    """The blur with (1, 4, 6, 4, 1) / 16 is positive only at x = -2, where it reaches column 0 alone."""
    values, cells = highest_cells(torch.tensor([[[[100., -1000., -1000., -1000.]]]]), 5)
    assert cells[0, 0].tolist() == [[-2, 0], [-2, -1]]
    assert values[0, 0].tolist() == [100 / 16 * 6 / 16, 100 / 16 * 4 / 16]


def test_the_highest_blurred_cell_may_be_far_from_the_highest_cell():
    """After the blur, a single cell is lower than a plateau."""
    heatmap = np.zeros((64, 48), np.float32)
    heatmap[5, 5], heatmap[40:47, 20:27] = 250, 200
    _, cells = highest_cells(torch.from_numpy(heatmap)[None, None], 5)
    x, y = cells[0, 0, 0]
    assert 20 <= x < 27 and 40 <= y < 47


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_map_with_nan_or_infinity_does_not_change_the_next(bad):
    maps = np.stack([peak((20, 20)), peak((30, 30)), peak((40, 40))])
    alone = highest_cells(torch.from_numpy(maps[::2].copy())[None], 5)
    maps[1, 3, 3] = bad
    together = highest_cells(torch.from_numpy(maps)[None], 5)
    for expected, found in zip(alone, together):
        assert_array_equal(found[0, ::2], expected[0])


def test_the_maps_are_not_changed():
    maps = torch.from_numpy(np.stack([peak((20, 20)), peak((10, 10)) + peak((50, 30))]))[None]
    before = maps.clone()
    highest_cells(maps, 5)
    assert torch.equal(maps, before)
