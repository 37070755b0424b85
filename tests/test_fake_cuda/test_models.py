"""Models on the emulated GPU: nothing mixes devices, and the host waits only where it must."""
import pytest
import torch

from tests.building import ensemble, samples, second_call
from tests.families import FAMILIES, FLIP, INPUT, OPTIONS, PRECISIONS, autocast, build
from tests.test_fake_cuda.fake_cuda import CUDA, FakeCuda, needs_marks

pytestmark = needs_marks


def batch():
    """Crops and samples on the emulated GPU."""
    people = [sample.to('cuda') for sample in samples(flip_indices=FLIP)]
    return torch.randn(2, 3, *INPUT[::-1]).to('cuda'), people


@pytest.mark.parametrize('family, dtype', [
    (family, dtype) for family in FAMILIES for dtype in PRECISIONS
    if family != 'recomputed' or dtype is None  # the second run would need torch's own autocast
])
def test_training(family, dtype):
    """Between the batch and the gradients the host does not wait, after the first step."""
    model = build(family)
    with FakeCuda() as gpu:
        model.to('cuda')
        images, people = batch()

        def step():
            with autocast(dtype):
                losses = model.loss(images, people)
            total, _ = model.parse_losses(losses)
            total.backward()
            return losses, total

        (losses, total), waits = second_call(step, gpu.counted)  # the first step also looks for visible keypoints
        assert not waits
        assert total.device == CUDA and total.dtype == torch.float32 and losses['acc_pose'].device == CUDA
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.device == CUDA, name


@pytest.mark.parametrize('family, options, dtype', [
    *((family, 'flip', dtype) for family in FAMILIES for dtype in PRECISIONS),
    *((family, 'shift', None) for family in FAMILIES),
    *(('mspn', options, dtype) for options in sorted(set(OPTIONS) - {'flip'}) for dtype in PRECISIONS[1:]),
    *(('cpn', options, None) for options in sorted(set(OPTIONS) - {'flip', 'shift'})),
])
def test_prediction(family, options, dtype):
    """The host waits once, for the decoded keypoints, and finds what the CPU finds."""
    model = build(family, OPTIONS[options]).eval()
    images = torch.randn(2, 3, *INPUT[::-1])
    with torch.no_grad():
        expected = model.predict(images, samples(flip_indices=FLIP))
    with FakeCuda() as gpu, torch.no_grad():
        model.to('cuda')
        images, people = images.to('cuda'), batch()[1]
        with autocast(dtype):
            found, waits = second_call(lambda: model.predict(images, people), gpu.counted)
        assert waits == {'a blocking copy to cpu': 1}
    if dtype is None:
        for one, other in zip(found, expected):
            assert abs(one.pred_instances.keypoints - other.pred_instances.keypoints).max() < 1e-3
            assert abs(one.pred_instances.keypoint_scores - other.pred_instances.keypoint_scores).max() < 1e-4


@pytest.mark.parametrize('test_cfg', [dict(flip_test=True), dict(flip_test=True, shift_test=[(0, 0), (4, 0)])])
def test_an_ensemble_decodes_once(test_cfg, tmp_path):
    model = ensemble(tmp_path, [build('mspn'), build('lightpose')], test_cfg=test_cfg)
    with FakeCuda() as gpu, torch.no_grad():
        model.to('cuda')
        images, people = batch()
        _, waits = second_call(lambda: model.predict(images, people), gpu.counted)
        assert waits == {'a blocking copy to cpu': 1}
