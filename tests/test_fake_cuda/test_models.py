"""Models on the emulated GPU: nothing mixes devices, and the host waits only where it must."""
import copy
from contextlib import nullcontext
from typing import Optional

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from tests.building import SMALL, codec, ensemble, samples, second_call
from tests.test_fake_cuda.fake_cuda import CUDA, FakeCuda

INPUT = (48, 64)
FLIP = [0, 2, 1, *range(3, 17)]
MSPN_HEAD = dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, decoder=codec())
FAMILIES = dict(
    mspn=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=SMALL, unit_channels=16),
        head=MSPN_HEAD),
    recomputed=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=SMALL, unit_channels=16, with_cp=True),
        head=dict(MSPN_HEAD, with_cp=True)),
    cpn=dict(
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        head=dict(type='mmpose_mspn.CPNHead', out_channels=17, channels=16, in_channels=(64, 128, 256, 512),
                  decoder=codec(kernel_sizes=(15, 11, 9, 7)))),
    lightpose=dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, unit_channels=16,
                      encoder=dict(type='mmpose_mspn.AttentionResNet', depth=50),
                      conv_cfg=dict(type='mmpose_mspn.GhostConv')),
        head=dict(MSPN_HEAD, num_stages=1, conv_cfg=dict(type='mmpose_mspn.GhostConv'))),
    rsn=dict(
        backbone=dict(type='RSN', unit_channels=16, num_stages=2, num_units=4, num_blocks=[1, 1, 1, 1], num_steps=4),
        head=MSPN_HEAD))
PRECISIONS = [None, torch.float16, torch.bfloat16]


def build(family: str, test_cfg: Optional[dict] = None) -> nn.Module:
    cfg = dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', mean=[120.] * 3, std=[60.] * 3),
        test_cfg=test_cfg, **FAMILIES[family])
    model = MODELS.build(copy.deepcopy(cfg))
    model.cfg = cfg
    return model


def batch():
    """Crops and samples on the emulated GPU."""
    people = [sample.to('cuda') for sample in samples(flip_indices=FLIP)]
    return torch.randn(2, 3, *INPUT[::-1]).to('cuda'), people


def autocast(dtype: Optional[torch.dtype]):
    return nullcontext() if dtype is None else torch.autocast('cuda', dtype)


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


OPTIONS = dict(
    plain=dict(flip_test=False),
    flip=dict(flip_test=True),
    flip_and_shift_heatmap=dict(flip_test=True, shift_heatmap=True),
    heatmaps=dict(flip_test=True, output_heatmaps=True),
    shift=dict(flip_test=True, shift_test=[(0, 0), (4, 0), (-3, 2)]))


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
