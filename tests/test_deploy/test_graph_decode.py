"""The decode as an exported graph finds the same keypoints as in PyTorch, in ties too."""
import tempfile
from functools import lru_cache
from typing import Tuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tests.exporting  # noqa: F401
from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.codecs.decode import decode
from mspn_runtime import with_onnxruntime, with_openvino

ROWS, COLUMNS = 16, 12


class Decode(nn.Module):
    """The decode as a module, which an exporter takes."""

    def __init__(self, blur: int, stride: int) -> None:
        super().__init__()
        self.blur, self.input_size = blur, (COLUMNS * stride, ROWS * stride)

    def forward(self, heatmaps: Tensor) -> Tuple[Tensor, Tensor]:
        keypoints, scores = decode(heatmaps, self.input_size, self.blur)
        return keypoints.float(), scores


@lru_cache(None)
def runs(blur: int, stride: int) -> dict:
    """The decode as a graph, by backend."""
    program = torch.onnx.export(
        Decode(blur, stride), (torch.zeros(2, 1, ROWS, COLUMNS), ), dynamo=True, verbose=False, opset_version=18,
        input_names=['heatmaps'], output_names=['keypoints', 'scores'],
        dynamic_shapes=({0: torch.export.Dim('maps')}, ))
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/decode.onnx'
        program.save(path)
        return {name: opened(path, 1, 'f32')[0] for name, opened in (
            ('onnxruntime', with_onnxruntime), ('openvino', with_openvino))}


def codec(blur: int, stride: int) -> CoarseToFineHeatmap:
    return CoarseToFineHeatmap((COLUMNS * stride, ROWS * stride), (COLUMNS, ROWS), blur_kernel_size=blur)


def check(heatmaps: torch.Tensor, blur: int = 5, stride: int = 4, backends=('onnxruntime', 'openvino')) -> None:
    """Compare the graph with the codec's decode of heatmaps (B, K, H, W)."""
    maps = heatmaps.flatten(0, 1)[:, None].contiguous()
    expected, expected_scores = map(np.concatenate, codec(blur, stride).batch_decode(maps))
    for backend in backends:
        keypoints, scores = runs(blur, stride)[backend](dict(heatmaps=maps.numpy()))
        np.testing.assert_allclose(keypoints, expected, rtol=0, atol=1e-4, err_msg=backend)
        np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-6, err_msg=backend)


@pytest.mark.parametrize('blur, stride', [(1, 4), (5, 4), (5, 2), (9, 4)])
def test_noise_and_peaks_at_any_place(blur, stride):
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 17, 16, 12, generator=draw)
    peaks = codec(5, 4).render(torch.rand(4, 17, 2, generator=draw) * 80 - 10, torch.full((4, 17), 2.))[:, 4]
    check(noise, blur, stride)
    check(peaks + noise, blur, stride)


@pytest.mark.parametrize('blur', (5, 9))
def test_symmetric_peaks_at_every_cell(blur):
    """All neighbors of the maximum are equal, so the order of cells decides; at borders and corners too."""
    cells = torch.stack(torch.meshgrid(torch.arange(12.), torch.arange(16.), indexing='xy'), -1).reshape(1, -1, 2)
    check(codec(5, 4).render(cells * 4 + 1, torch.full((1, 192), 2.))[:, 4], blur, backends=('onnxruntime', ))


@pytest.mark.parametrize('blur', (5, 9))
def test_cells_that_mirror_each_other_stay_equal_in_float32(blur):
    """OpenVINO computes in float32: a cell with equal neighbors on the left and on the right, at every place."""
    maps = torch.zeros(1, ROWS * (COLUMNS - 2), ROWS, COLUMNS)
    for index in range(maps.shape[1]):
        row, column = index // (COLUMNS - 2), index % (COLUMNS - 2) + 1
        maps[0, index, row, column - 1:column + 2] = torch.tensor([0.71 * 128, 255 * 0.71, 0.71 * 128])
    check(maps, blur)


@pytest.mark.parametrize('heatmaps', [
    torch.zeros(1, 2, 16, 12), -torch.ones(1, 2, 16, 12), torch.ones(1, 2, 16, 12),
    torch.zeros(1, 2, 16, 12).index_put((torch.tensor(0), torch.tensor(0), torch.tensor(3), torch.tensor(4)),
                                        torch.tensor(9.)),
], ids=('zeros', 'negative', 'flat', 'one cell'))
def test_maps_without_a_peak(heatmaps):
    check(heatmaps)
    check(heatmaps, blur=1)


def test_cells_that_float32_cannot_tell_apart_are_compared_as_the_codec_does():
    """The second highest cells differ by one part in 2**24 of the highest."""
    heatmaps = torch.zeros(1, 1, 16, 12)
    heatmaps[0, 0, 8, 6], heatmaps[0, 0, 8, 5], heatmaps[0, 0, 8, 7] = 255., 128., 128. * (1 + 2**-23)
    check(heatmaps, backends=('onnxruntime', ))  # OpenVINO computes in float32
    check(heatmaps.flip(3), backends=('onnxruntime', ))
