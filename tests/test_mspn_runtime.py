"""The runtime of exported models: its crops, and that it needs nothing of torch, mmcv and mmpose."""
import ast
import hashlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose

import mspn_runtime

SIZES = [(192, 256), (96, 128), (288, 384), (256, 256)]


def pipeline(step: dict, size: tuple):
    return Compose([step, dict(type='TopdownAffine', input_size=size)])


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('step, padding', [
    (dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)), 1 + np.array([0.09, 0.135], np.float32)),
    (dict(type='GetBBoxCenterScale', padding=1.25), np.float32([1.25, 1.25])),
])
def test_crops_are_those_of_the_pipeline_to_the_last_gray_level(step, padding, size):
    """Boxes of whole and of any px, within the image and beyond it; the pipeline's OpenCV cuts the expected crops."""
    draw = np.random.default_rng(0)
    make = pipeline(step, size)
    for index in range(40):
        image = draw.integers(0, 256, (*draw.integers(5, 300, 2), 3), np.uint8)
        box = np.concatenate([draw.uniform(-40, 200, 2), draw.uniform(1, 400, 2)]).astype(np.float32)
        box = np.round(box) + [0, 0, 1, 1] if index % 2 else box
        box = box.astype(np.float32)
        expected = make(dict(img=image, bbox=np.float32([[box[0], box[1], box[0] + box[2], box[1] + box[3]]])))
        (center, ), (region, ) = mspn_runtime.box_regions(box[None], padding, size)
        np.testing.assert_array_equal(center, expected['input_center'])
        np.testing.assert_array_equal(region, expected['input_scale'])
        found = mspn_runtime.cut(image, center, region[0], size)
        np.testing.assert_array_equal(found.transpose(1, 2, 0), expected['img'])


def test_a_crop_whose_positions_lie_between_two_depends_on_the_solvers_rounding():
    """Two of 3,000 random regions whose rows differ by the rounding of OpenCV's solver alone."""
    draw, found = np.random.default_rng(0), 0
    for index in range(3000):
        shape = draw.integers(5, 400, 2)
        image = draw.integers(0, 256, (*shape, 3), np.uint8)
        if index % 2:
            center, width = np.float32(draw.uniform(-50, 450, 2)), np.float32(draw.uniform(1, 700))
        else:
            center = np.float32(draw.integers(0, 800, 2) / 2)
            width = np.float32(draw.integers(1, 500) * np.float32(1.25))
        if index not in (2335, 2629):
            continue
        from mmpose.structures.bbox import get_warp_matrix
        size = SIZES[(0, 1, 2, 3)[index % 4]]
        matrix = get_warp_matrix(center, np.array([width, width]), 0., output_size=size)
        expected = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(mspn_runtime.cut(image, center, width, size).transpose(1, 2, 0), expected)
        found += 1
    assert found == 2


def test_crops_are_the_same_under_every_version_of_opencv():
    """Recorded with OpenCV 4.11, which cuts the same crops; OpenCV 5 does not, and the runtime imports neither."""
    draw, recorded = np.random.default_rng(0), hashlib.sha256()
    for index in range(40):
        image = draw.integers(0, 256, (*draw.integers(5, 300, 2), 3), np.uint8)
        center, width = draw.uniform(-40, 250, 2).astype(np.float32), np.float32(draw.uniform(1, 400))
        recorded.update(mspn_runtime.cut(image, center, width, SIZES[index % 4]).tobytes())
    assert recorded.hexdigest() == '422597d3b90d23fc93e974bc120b6d7b4bb4a53b4614f10031c317122194e510'


def test_it_is_one_short_file_that_imports_three_packages():
    source = Path(mspn_runtime.__file__).read_text(encoding='utf-8')
    assert len(source.splitlines()) <= 220
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split('.')[0])
    assert names - set(sys.stdlib_module_names) == {'numpy', 'PIL', 'onnxruntime', 'openvino'}
