"""An accelerated copy is a model like any other: it prints, copies, pickles, and runs in mmpose's own tools."""
import copy
import pickle
import sys
from pathlib import Path
from typing import List

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.apis import inference_topdown, init_model
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn import accelerate
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.deploy import AcceleratedPoseEstimator
from mmpose_mspn.deploy.packed import PackedConv, can_pack
from mmpose_mspn.synthetic_people import generate
from tests.building import samples
from tests.places import DEMO
from tests.test_deploy.conftest import IMAGES, heatmaps

LARGER = torch.randn(1, 3, 128, 96, generator=torch.Generator().manual_seed(1))
COPIES = {'deepcopy': copy.deepcopy, 'pickle': lambda model: pickle.loads(pickle.dumps(model))}
packed_only = pytest.mark.skipif(
    not can_pack(torch.device('cpu'), None), reason='this torch has no oneDNN operators')

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')


@pytest.fixture
def plain(monkeypatch) -> None:
    """No convolution is packed, as on a GPU."""
    module = sys.modules['mmpose_mspn.deploy.accelerate']  # the package has the function under this name
    monkeypatch.setattr(module, 'can_pack', lambda device, dtype: False)


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> Path:
    """Three generated people and two checkpoints with random weights."""
    root = tmp_path_factory.mktemp('files')
    generate(root, train=1, val=3, workers=1, progress=False)
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = MODELS.build(load_config(str(DEMO)).model)
        for value in model.parameters():
            if value.ndim > 1:
                nn.init.kaiming_normal_(value)
        torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'{seed}.pth')
    return root


def is_like(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(found, expected, rtol=0, atol=1e-4 * expected.std().item())


@pytest.mark.parametrize('dtype', (None, torch.bfloat16))
def test_it_prints_what_it_is(model, dtype):
    shown = repr(accelerate(model, dtype))
    assert shown.startswith(f'AcceleratedPoseEstimator(\n  dtype={dtype or torch.float32}, pixels_per_piece=')
    assert '(estimator): TopdownPoseEstimator(' in shown
    if can_pack(torch.device('cpu'), dtype):
        assert 'PackedConv(16, kernel_size=(7, 7), stride=[2, 2]' in shown


@packed_only
@pytest.mark.parametrize('copied', COPIES.values(), ids=COPIES)
@pytest.mark.parametrize('dtype', (None, torch.bfloat16))
def test_copies_predict_the_same_bits(model, dtype, copied):
    """Made before the first prediction, when no weights are packed yet, and after it."""
    fast = accelerate(model, dtype)
    before = copied(fast)
    expected = heatmaps(fast)
    after = copied(fast)
    assert torch.equal(heatmaps(before), expected)
    # Its first images are of another size than those for which the weights were packed.
    assert torch.equal(heatmaps(after, LARGER), heatmaps(fast, LARGER))
    assert torch.equal(heatmaps(after), expected) and torch.equal(heatmaps(fast), expected)


@pytest.mark.parametrize('copied', COPIES.values(), ids=COPIES)
def test_copies_of_what_is_not_packed_predict_the_same_bits(model, plain, copied):
    fast = accelerate(model)
    assert torch.equal(heatmaps(copied(fast)), heatmaps(fast))


@packed_only
def test_a_copy_has_weights_of_its_own(model):
    fast = accelerate(model)
    expected = heatmaps(fast)
    twin = copy.deepcopy(fast)
    for module in twin.modules():
        if isinstance(module, PackedConv) and module.bias is not None:
            module.bias.fill_(float('nan'))
    assert torch.isnan(heatmaps(twin)).all() and torch.equal(heatmaps(fast), expected)


def test_it_is_a_pose_estimator_with_the_parts_of_the_model(model):
    model.dataset_meta, model.cfg = dict(dataset_name='people'), Config(dict(default_scope='mmpose'))
    fast = accelerate(model)
    assert isinstance(fast, BasePoseEstimator) and isinstance(fast.estimator, type(model))
    assert fast.head is fast.estimator.head and fast.with_head and not fast.with_neck
    assert fast.dataset_meta == model.dataset_meta and fast.cfg.default_scope == 'mmpose'
    assert fast.data_preprocessor is fast.estimator.data_preprocessor
    with pytest.raises(AttributeError, match='nothing_of_this_name'):
        _ = fast.nothing_of_this_name


def test_every_way_of_calling_gives_the_same(model):
    fast = accelerate(model)
    expected = heatmaps(fast)
    with torch.no_grad():
        by_mode = fast(IMAGES, samples(), mode='predict')
        of_a_list = fast(list(IMAGES), samples(), mode='predict')
        by_step = fast.test_step(dict(inputs=list(IMAGES), data_samples=samples()))
        tensors = fast(IMAGES)
        assert all(is_like(found, wanted) for found, wanted in zip(tensors[-1], model(IMAGES, None)[-1]))
    for found in (by_mode, of_a_list, by_step):
        assert torch.equal(torch.stack([sample.pred_fields.heatmaps for sample in found]), expected)


def test_settings_of_the_test_can_be_changed(model):
    fast = accelerate(model)
    for flip_test in (False, True):
        fast.test_cfg = model.test_cfg = dict(flip_test=flip_test, output_heatmaps=True)
        assert is_like(heatmaps(fast), heatmaps(model))
    fast.pixels_per_piece = 4 * 64 * 48
    assert fast.piece_size(IMAGES) == 2  # two crops and their mirrored ones
    fast.test_cfg = dict(flip_test=False)
    assert fast.piece_size(IMAGES) == 4
    fast.pixels_per_piece = 1
    assert fast.piece_size(IMAGES) == 1


def test_it_cannot_be_trained(model):
    fast = accelerate(model)
    attempts = [
        fast.train, lambda: fast.train(True), lambda: fast.loss(IMAGES, samples()),
        lambda: fast(IMAGES, samples(), mode='loss')]
    for attempt in attempts:
        with pytest.raises(RuntimeError, match='^an accelerated copy cannot be trained: [^\n]*$'):
            attempt()
    assert fast.eval() is fast and fast.train(False) is fast and not fast.training


MOVES = [
    pytest.param(lambda model: model.to('meta'), id='meta'),
    pytest.param(lambda model: model.double(), id='double'),
    pytest.param(lambda model: model.half(), id='half'),
    pytest.param(lambda model: model.to(torch.bfloat16), id='bfloat16'),
    pytest.param(lambda model: model.cuda(), id='cuda', marks=needs_gpu),
]


@packed_only
@pytest.mark.parametrize('move', MOVES)
def test_packed_it_is_not_moved_or_converted(model, move):
    fast = accelerate(model)
    expected = heatmaps(fast)
    fast.to('cpu').float().cpu().to(memory_format=torch.channels_last)  # where and what it is already
    with pytest.raises(RuntimeError, match='packed convolutions cannot be moved or converted, got .*accelerate it'):
        move(fast)
    assert torch.equal(heatmaps(fast), expected) and fast.data_preprocessor.device.type == 'cpu'


def test_not_packed_it_is_moved_and_converted(model, plain):
    fast = accelerate(model).double()
    assert is_like(heatmaps(fast, IMAGES.double()).float(), heatmaps(model))
    fast.to('meta')
    assert {value.device.type for value in fast.parameters()} == {'meta'}
    assert fast.data_preprocessor.device.type == 'meta'


@needs_gpu
def test_it_predicts_on_the_gpu_to_which_it_is_moved(model, plain):
    fast = accelerate(model).to('cuda')
    assert fast.piece_size(IMAGES.cuda()) == len(IMAGES)
    found, expected = heatmaps(fast, IMAGES.cuda()).cpu(), heatmaps(model)
    assert (found - expected).abs().max() < 1e-2 * expected.std()  # convolutions in tf32


class Collect(Hook):
    """Keeps what the model predicts in a test."""

    def __init__(self) -> None:
        self.keypoints: List[np.ndarray] = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.keypoints += [sample.pred_instances.keypoints for sample in outputs]


def keypoints_of_a_run(model: nn.Module, files: Path, work_dir: Path) -> np.ndarray:
    """Keypoints (N, K, 2) in image px that a stock Runner's test with the model gives."""
    cfg = load_config(str(DEMO), data_root=str(files))
    loader = dict(cfg.test_dataloader, num_workers=0, persistent_workers=False, batch_size=2)
    collected = Collect()
    Runner(model=model, work_dir=str(work_dir), test_dataloader=loader, test_evaluator=cfg.test_evaluator,
           test_cfg=dict(), custom_hooks=[collected], default_scope='mmpose', experiment_name=work_dir.name).test()
    return np.concatenate(collected.keypoints)


def test_the_stock_runner_tests_it(files, tmp_path):
    model = init_model(str(DEMO), str(files / '0.pth'), device='cpu')
    expected = keypoints_of_a_run(model, files, tmp_path / 'model')
    found = keypoints_of_a_run(accelerate(model), files, tmp_path / 'fast')
    assert found.shape == expected.shape == (len(expected), 17, 2) and len(expected) >= 3
    np.testing.assert_allclose(found, expected, atol=0.01)
    again = keypoints_of_a_run(pickle.loads(pickle.dumps(accelerate(model))), files, tmp_path / 'pickled')
    np.testing.assert_array_equal(again, found)


def test_the_stock_runner_cannot_train_it(files, tmp_path):
    fast = accelerate(init_model(str(DEMO), str(files / '0.pth'), device='cpu'))
    expected = heatmaps_of(fast)
    cfg = load_config(str(DEMO), data_root=str(files))
    loader = dict(cfg.train_dataloader, num_workers=0, persistent_workers=False, batch_size=1)
    run = Runner(model=fast, work_dir=str(tmp_path), train_dataloader=loader, default_scope='mmpose',
                 train_cfg=dict(by_epoch=False, max_iters=1), experiment_name=tmp_path.name,
                 optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))
    with pytest.raises(RuntimeError, match='an accelerated copy cannot be trained'):
        run.train()
    assert torch.equal(heatmaps_of(fast), expected)
    fast.init_weights()
    assert torch.equal(heatmaps_of(fast), expected)


def heatmaps_of(model: nn.Module) -> torch.Tensor:
    """The finest maps (B, K, H, W) of the last stage, without flip test or decode."""
    with torch.no_grad():
        return model(LARGER)[-1][-1]


def test_mmposes_inference_takes_it(files):
    model = init_model(str(DEMO), str(files / '0.pth'), device='cpu')
    image = str(next((files / 'val2017').glob('*.jpg')))
    boxes = np.array([[20, 20, 200, 240], [40, 30, 120, 200]])
    found, expected = ([sample.pred_instances.keypoints for sample in inference_topdown(one, image, boxes, 'xyxy')]
                       for one in (accelerate(model), model))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_an_ensemble_is_accelerated(files):
    model_cfg = load_config(str(DEMO)).model
    members = [dict(config=str(DEMO), checkpoint=str(files / f'{seed}.pth')) for seed in (0, 1)]
    ensemble = MODELS.build(dict(
        type='mmpose_mspn.EnsemblePoseEstimator', members=members, decoder=model_cfg.head.decoder,
        test_cfg=dict(flip_test=True, output_heatmaps=True))).eval()
    fast = accelerate(ensemble)
    assert isinstance(fast, AcceleratedPoseEstimator) and len(fast.members) == 2
    expected = heatmaps(ensemble, LARGER)
    assert is_like(heatmaps(fast, LARGER), expected)
    for copied in COPIES.values():
        assert torch.equal(heatmaps(copied(fast), LARGER), heatmaps(fast, LARGER))
