"""Which differences between a file and PyTorch count as decided by rounding."""
from pathlib import Path

import numpy as np
import pytest
import torch

from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.codecs.decode import decode
from mmpose_mspn.deploy.check import _decided_by_rounding, _in_float64
from tests.exporting import onnx
from tests.test_deploy import exported

CODEC = CoarseToFineHeatmap((48, 64), (12, 16), (5, ), blur_kernel_size=5)
CELL = 4.
"""Side of a cell in px of the crop."""
LIMIT = 1e-2
"""Of the differences of heatmaps that count as those of rounding."""


@pytest.fixture(scope='module')
def path(tmp_path_factory) -> Path:
    """A file whose heatmaps are its inputs."""
    shape = ['people', 'keypoints', 'rows', 'columns']
    given, found = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
                    for name in ('maps', 'heatmaps'))
    same = onnx.helper.make_node('Identity', ['maps'], ['heatmaps'])
    graph = onnx.helper.make_graph([same], 'maps', [given], [found])
    path = tmp_path_factory.mktemp('maps') / 'maps.onnx'
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8), path)
    return path


def two_peaks(higher: int, gap: float) -> torch.Tensor:
    """A map (1, 1, 16, 12) with peaks at columns 2 and 9, one of which is higher than 100 by ``gap``."""
    maps = torch.zeros(1, 1, 16, 12)
    maps[0, 0, 8, [2, 9]] = 100.
    maps[0, 0, 8, higher] += gap
    return maps


@pytest.mark.parametrize('gap, cells, expected', [
    (1e-3, 7., True),    # each map has another peak as the higher one, by less than rounding
    (1e-3, 6., False),   # the file's keypoint is not that of its own map
    (1., 7., False),     # the maps differ by more than rounding
], ids=['rounding', 'decode', 'network'])
def test_what_rounding_decides(gap, cells, expected, path):
    own, of_torch = two_peaks(2, gap), two_peaks(9, gap)
    at, at_torch = (decode(maps, CODEC.input_size, 5)[0][0, 0, 0].item() for maps in (own, of_torch))
    # Both keypoints lie between the peaks: a quarter of a cell from the higher one towards the other.
    assert at_torch - at == pytest.approx(CELL * (7 - 0.5), abs=1e-4)
    moved = np.array([[CELL * (cells - 0.5)]])
    found = _decided_by_rounding(path, dict(maps=own.numpy()), of_torch, LIMIT, CODEC, moved)
    assert found.tolist() == [[expected]]


def test_equal_maps_leave_nothing_to_rounding(path):
    """With equal maps, whose highest cells tie, a moved keypoint is an error of the file's decode."""
    maps = two_peaks(2, 0.)
    found = _decided_by_rounding(path, dict(maps=maps.numpy()), maps, LIMIT, CODEC, np.array([[CELL * 7]]))
    assert found.tolist() == [[False]]


def test_files_without_heatmaps_are_not_excused(tmp_path, path):
    model = onnx.load(path)
    model.graph.output[0].name = 'keypoints'
    model.graph.node[0].output[0] = 'keypoints'
    onnx.save(model, tmp_path / 'other.onnx')
    maps = two_peaks(2, 1e-3)
    found = _decided_by_rounding(tmp_path / 'other.onnx', dict(maps=maps.numpy()), two_peaks(9, 1e-3),
                                 LIMIT, CODEC, np.array([[CELL * 6.5]]))
    assert found.tolist() == [[False]]


def test_the_limit_comes_from_a_model_in_float64():
    """The heatmaps in float64 are those of float32 to its rounding, and the model itself stays as it is."""
    torch.manual_seed(0)
    model = exported.build().eval()
    crops = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        maps, exact = (one.head.forward_last(one.extract_feat(crops)) for one in (model, _in_float64(model)))
    assert exact.dtype == torch.float64 and maps.dtype == torch.float32
    assert 0 < (maps - exact).abs().max() < 1e-5 * exact.std()
    assert next(model.parameters()).dtype == torch.float32
