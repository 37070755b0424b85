"""Compiled copies predict as accelerated ones, are compiled once, and are refused where that cannot be."""
import copy
import pickle
import sys
from typing import Callable, List, Sequence

import pytest
import torch
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._inductor import config as compiler
from torch._inductor.codecache import PyCodeCache

from mmpose_mspn import accelerate
from mmpose_mspn.deploy import compiled
from tests.building import SMALL, codec, ensemble, samples, settle_norms

try:
    from torch._inductor.cpp_builder import cpp_compiler_search
except ImportError:  # older versions of torch
    from torch._inductor.codecache import cpp_compiler_search

TINY = {**SMALL, 'base_channels': 8, 'stem_channels': 8}
FLIP = [0, 2, 1, *range(3, 17)]
CROPS = torch.randn(5, 3, 64, 48, generator=torch.Generator().manual_seed(0))
TEST = dict(flip_test=True, output_heatmaps=True)


def build(num_stages: int = 1, kind: str = 'mmpose_mspn.TopdownPoseEstimator', test_cfg: dict = TEST,
          **changes) -> nn.Module:
    cfg = dict(
        type=kind,
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', mean=[120.] * 3, std=[60.] * 3),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=num_stages, encoder=TINY, unit_channels=8),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=num_stages, out_channels=17, unit_channels=8,
                  decoder=codec()),
        test_cfg=test_cfg)
    cfg.update(changes)
    model = MODELS.build(copy.deepcopy(cfg))
    model.cfg = cfg
    return settle_norms(model, CROPS)


def heatmaps(model: nn.Module, crops: Tensor = CROPS) -> Tensor:
    """(B, K, H, W) of the last predictor. Gradients and their modes are as users may have them."""
    found = model.predict(crops, samples(len(crops), flip_indices=FLIP))
    return torch.stack([sample.pred_fields.heatmaps for sample in found])


def is_like(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=0, atol=1e-4 * expected.std().item())


def compilations() -> int:
    return counters['stats']['unique_graphs']


@pytest.fixture
def one_process(monkeypatch) -> None:
    """The compiler starts no processes, each of which would load torch first."""
    monkeypatch.setattr(compiler, 'compile_threads', 1)


@pytest.fixture
def graphs(monkeypatch) -> List[dict]:
    """CUDA graphs, as far as they have been seen to matter: the results of a call are overwritten by the next one.

    Nothing is compiled. The list is the options of ``torch.compile``.
    """
    given: List[dict] = []
    written: List[Tensor] = []

    def compile(function: Callable, **options) -> Callable:
        given.append(options)

        def replay(network: nn.Module, crops: Tensor) -> Tensor:
            for old in written:
                old.fill_(float('nan'))
            written.append(function(network, crops))
            return written[-1]
        return replay

    monkeypatch.setattr(torch, 'compile', compile)
    monkeypatch.setattr(compiled, 'check_compiler', lambda device: None)
    return given


def small(convolutions: Sequence[nn.Module]) -> nn.Module:
    """A model whose network is these convolutions."""
    model = build()
    model.backbone = nn.Sequential(*convolutions, nn.MaxPool2d(4)).eval()
    model.head.forward_last = compiled._as_they_are
    return model


@pytest.mark.parametrize('make, dtype, backend', [
    (build, None, 'inductor'),
    (build, torch.bfloat16, 'eager'),  # traced, but not compiled, which takes as long as the rest of this file
    (lambda: small([nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 17, 1)]), torch.bfloat16, 'inductor'),
], ids=['float32', 'bfloat16, traced', 'bfloat16'])
def test_it_predicts_as_the_accelerated_copy_and_is_compiled_once(make, dtype, backend, one_process, monkeypatch):
    """With all sizes of batches, in all modes of autograd, and under autocast."""
    compile = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda function, **options: compile(function, backend=backend, **options))
    model = make()
    before = compilations()
    fast = accelerate(model, dtype, compile=2)
    made = compilations() - before
    assert made in (1, 2)  # the addition that tries the compiler is compiled once in a process
    expected, plain = heatmaps(model), heatmaps(accelerate(model, dtype))
    found = heatmaps(fast)
    assert not found.requires_grad
    if dtype is None:
        assert is_like(found, expected)
    else:  # about as far from float32 as without the compiler
        assert (found - expected).std() < 1.5 * (plain - expected).std() < .15 * expected.std()
    for count in (1, 2, 3, 4):
        assert torch.equal(heatmaps(fast, CROPS[:count]), found[:count])
    with torch.no_grad():
        assert torch.equal(heatmaps(fast), found)
    with torch.inference_mode():
        assert torch.equal(heatmaps(fast, CROPS.clone()), found)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(heatmaps(fast), found)
    assert compilations() == before + made


def test_networks_of_the_same_kind_keep_their_weights(one_process):
    """Although weights are constants of the compiled code."""
    models = [small([nn.Conv2d(3, 17, 1)]) for _ in range(2)]
    copies = [accelerate(model, compile=5) for model in models]
    for model, fast in zip(models, copies):
        assert is_like(heatmaps(fast), heatmaps(model))


def test_any_number_of_networks_is_compiled(monkeypatch):
    """More than the 8 for which Dynamo compiles a function. Behind it, nothing is compiled here."""
    compile = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda function, **options: compile(function, backend='eager', **options))
    for _ in range(10):
        model = small([nn.Conv2d(3, 17, 1)])
        before = compilations()
        assert is_like(heatmaps(accelerate(model, compile=5)), heatmaps(model))
        assert compilations() in (before + 1, before + 2)


@pytest.mark.parametrize('changes', [
    dict(), dict(test_cfg=dict(TEST, flip_test=False)), dict(test_cfg=dict(TEST, shift_test=[(0, 0), (4, 0), (-3, 2)])),
    dict(num_stages=2, test_cfg=dict(TEST, stages=1)), dict(kind='mmpose.TopdownPoseEstimator'),
    dict(head=dict(type='mmpose.HeatmapHead', in_channels=8, out_channels=17, deconv_out_channels=None,
                   decoder=codec()),
         backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, encoder=TINY, unit_channels=8, output='final')),
    dict(head=dict(type='mmpose_mspn.CPNHead', out_channels=17, channels=8, in_channels=(64, 128, 256, 512),
                   decoder=codec(kernel_sizes=(15, 11, 9, 7))),
         backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))),
], ids=['flip', 'plain', 'shift', 'stages', 'mmpose', 'mmpose head', 'cpn'])
@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
def test_results_outlive_the_next_replay(graphs, changes, dtype):
    model = build(**changes)
    fast = accelerate(model, dtype, compile=3)
    expected, found = heatmaps(model), heatmaps(fast)
    if dtype is None:
        assert is_like(found, expected)
    else:
        assert (found - expected).std() < .1 * expected.std()


def test_results_of_an_ensemble_outlive_the_next_replay(graphs, tmp_path):
    model = ensemble(tmp_path, [build(1), build(2)], test_cfg=dict(TEST, shift_test=[(0, 0), (4, 0)]))
    fast = accelerate(model, compile=3)
    assert len(graphs) == 2 and is_like(heatmaps(fast), heatmaps(model))


def test_first_stages_are_compiled(graphs):
    model = build(2)
    expected = heatmaps(accelerate(model, stages=1))
    assert is_like(heatmaps(accelerate(model, stages=1, compile=2)), expected)


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_compiled_anew(graphs, copied):
    fast = accelerate(build(), compile=2)
    twin = copied(fast)
    assert len(graphs) == 1
    assert torch.equal(heatmaps(twin), heatmaps(fast)) and len(graphs) == 2


def test_its_features_are_the_heatmaps(graphs):
    model = build(2, test_cfg=dict(flip_test=False))
    fast = accelerate(model, compile=5)
    expected = model(CROPS, None)[-1][-1]
    assert is_like(fast(CROPS), expected) and is_like(fast.extract_feat(CROPS), expected)
    assert repr(fast).startswith('AcceleratedPoseEstimator(\n  dtype=torch.float32, batch=5')
    assert isinstance(model(CROPS, None), list)  # the model stays as it was


def test_it_stays_where_and_what_it_is(graphs):
    fast = accelerate(build(), compile=5)
    expected = heatmaps(fast)
    fast.to('cpu').float().to(memory_format=torch.channels_last).eval()
    for move in (lambda: fast.to('meta'), fast.double, fast.half):
        with pytest.raises(RuntimeError, match='compiled networks cannot be moved or converted, got .*accelerate it'):
            move()
    with pytest.raises(RuntimeError, match='takes no other weights: load them into the model'):
        fast.load_state_dict(fast.state_dict())
    for train in (fast.train, lambda: fast.loss(CROPS, samples(5))):
        with pytest.raises(RuntimeError, match='an accelerated copy cannot be trained'):
            train()
    assert torch.equal(heatmaps(fast), expected)


def test_crops_for_which_it_is_not_compiled_are_refused(graphs):
    fast = accelerate(build(test_cfg=dict(flip_test=False)), compile=2)
    with pytest.raises(ValueError, match='compiled for up to 2 crops of 48 × 64 px, .* got 2 of 32 × 64 px'):
        fast.extract_feat(CROPS[:2, :, :, :32])
    fast.test_cfg = TEST
    with pytest.raises(ValueError, match='compiled for up to 2 crops of 48 × 64 px, mirrored ones included, got 4 of'):
        heatmaps(fast)


@pytest.mark.parametrize('options, message', [
    (dict(compile=True), 'compile must be the number of people in a batch, an integer >= 1, got True'),
    (dict(compile=0), 'compile must be .*, got 0'),
    (dict(compile=2, backend='onnxruntime'), "compile=2 is for PyTorch: omit it with backend 'onnxruntime'"),
    (dict(compile=2, backend='openvino'), "compile=2 is for PyTorch: omit it with backend 'openvino'"),
])
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        accelerate(build(), **options)


def test_other_models_are_refused():
    head = dict(type='RTMCCHead', in_channels=512, out_channels=17, input_size=(48, 64), in_featuremap_size=(2, 2),
                decoder=dict(type='SimCCLabel', input_size=(48, 64), sigma=4.9, simcc_split_ratio=2.0))
    model = build(backbone=dict(type='ResNet', depth=18), head=head)
    with pytest.raises(ValueError, match='compile needs a top-down estimator whose head .*, got TopdownPoseEstimator '
                                         'with RTMCCHead: omit compile'):
        accelerate(model, compile=2)
    with pytest.raises(ValueError, match='compile is for models on cpu or cuda, got one on meta'):
        accelerate(build().to('meta'), compile=2)


class Branch(nn.Module):
    """A backbone that computes one thing or another, by the values of its input."""

    def forward(self, x: Tensor) -> list:
        return [[x.repeat(1, 6, 1, 1)[:, :17, ::4, ::4] * (2 if x.sum() > 0 else 3)]]


def test_a_network_that_cannot_be_traced_is_refused():
    model = build()
    model.backbone = Branch()
    with pytest.raises(ValueError, match=r'torch.compile cannot compile Branch and MSPNHead \(.*\); omit compile'):
        accelerate(model, compile=2)


def test_a_machine_without_a_compiler_is_refused(monkeypatch):
    cpp_compiler_search.cache_clear()
    if hasattr(PyCodeCache, 'clear'):  # torch 2.1 takes what this process has compiled before it asks for a compiler
        PyCodeCache.clear()
    with compiler.patch({'cpp.cxx': ('no-such-compiler', )}), pytest.raises(
            ValueError, match='No working C.. compiler found in .*; a C.. compiler is needed, such as g..,'):
        compiled.check_compiler.__wrapped__(torch.device('cpu'))


def test_what_is_compiled_leaves_subnormal_numbers_as_they_are(one_process):
    if hasattr(PyCodeCache, 'clear'):
        PyCodeCache.clear()
    compiled.check_compiler.__wrapped__(torch.device('cpu'))
    assert sys.float_info.min / 2 > 0 and torch.tensor(1e-310, dtype=torch.float64).item() * 0.5 > 0


def test_a_compiler_that_is_switched_off_is_refused(monkeypatch):
    monkeypatch.setattr(torch._dynamo.config, 'disable', True)
    with pytest.raises(ValueError, match='does not work here .*(switched off|Dynamo tracing is disabled)'):
        compiled.check_compiler.__wrapped__(torch.device('cpu'))
