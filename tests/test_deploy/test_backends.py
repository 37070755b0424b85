"""A backend behind ``predict`` gives the model's predictions."""
import numpy as np
import pytest
import torch

import tests.exporting  # noqa: F401
from mmpose_mspn import accelerate, export
from mmpose_mspn.deploy.backends import load_exported
from tests.building import samples
from tests.generated import drawn_pictures
from tests.test_deploy import exported

CROPS = torch.randint(0, 256, (16, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return exported.build()


def people(model, count: int) -> dict:
    """What a data loader gives."""
    order = model.dataset_meta['flip_indices']
    return dict(inputs=list(CROPS[:count]), data_samples=samples(count, flip_indices=order))


def predicted(model, count: int = 9) -> np.ndarray:
    """(N, K, 3), by the way of a test: through the data preprocessor."""
    with torch.no_grad():
        found = [sample.pred_instances for sample in model.test_step(people(model, count))]
    return np.concatenate([np.dstack([one.keypoints, one.keypoint_scores]) for one in found])


@pytest.mark.parametrize('backend', ('onnxruntime', 'openvino'))
def test_the_same_predictions_in_float32(model, backend):
    fast = accelerate(model, backend=backend)
    np.testing.assert_allclose(predicted(fast), predicted(model), rtol=0, atol=1e-3)
    with pytest.raises(RuntimeError, match='cannot be trained'):
        fast.train()


def test_int8_is_calibrated_and_close(model):
    exact = predicted(model)[..., 2]
    moved = predicted(accelerate(model, backend='onnxruntime', precision='int8', calibration=CROPS))[..., 2]
    assert 0 < np.abs(moved - exact).mean() < 0.2 * exact.std()


def test_an_exported_file_stands_in_for_the_model(model, tmp_path):
    path = tmp_path / 'model.onnx'
    export(model, path, pictures=drawn_pictures(1))
    other = exported.build()  # its weights are not used
    np.testing.assert_allclose(predicted(load_exported(path, other)), predicted(model), rtol=0, atol=1e-3)
    other.head.decoder.input_size = (96, 128)
    with pytest.raises(ValueError, match=r'has input_size \(48, 64\) and 17 keypoints, the config \(96, 128\) and 17'):
        load_exported(path, other)


@pytest.mark.parametrize('options, message', [
    (dict(backend='tensorrt'), 'backend and precision must be one of'),
    (dict(backend='onnxruntime', precision='bf16'), 'backend and precision must be one of'),
    (dict(backend='onnxruntime', precision='int8'), 'calibration, .*, belongs to precision int8'),
    (dict(backend='onnxruntime', calibration=CROPS), 'calibration, .*, belongs to precision int8'),
    (dict(backend='onnxruntime', dtype=torch.bfloat16), 'is for PyTorch'),
    (dict(precision='int8', calibration=CROPS), 'need a backend'),
])
def test_wrong_arguments_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        accelerate(model, **options)
