"""torch.compile takes a training step of every family as one graph, whose losses and gradients are the eager ones."""
import copy
from typing import Dict, Tuple

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmpose.registry import MODELS
from torch import Tensor, nn

from mmpose_mspn.utils.errors import DataError
from tests.building import SMALL, codec, samples
from tests.families import FAMILIES, INPUT

if not hasattr(torch.compiler, 'is_compiling'):
    pytest.skip('torch 2.1 does not tell code that it is being compiled', allow_module_level=True)

TWO_UNITS = dict(SMALL, num_stages=2, strides=(1, 2), dilations=(1, 1))


def network(stages: int, encoder: dict = TWO_UNITS, **changes) -> dict:
    """The config of a network of two units."""
    return dict(
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=stages, encoder=encoder, unit_channels=16, **changes),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=stages, out_channels=17, num_units=2, unit_channels=16,
                  decoder=codec(), **changes))


RSN = dict(type='RSN', unit_channels=16, num_stages=1, num_units=4, num_blocks=[1] * 4, num_steps=4)
NETWORKS = dict(
    mspn1=network(1), mspn2=network(2), mspn3=network(3), mspn4=network(4), recomputed=network(2, with_cp=True),
    lightpose=network(1, dict(TWO_UNITS, type='mmpose_mspn.AttentionResNet', depth=50),
                      conv_cfg=dict(type='mmpose_mspn.GhostConv')),
    cpn=FAMILIES['cpn'], rsn=dict(backbone=RSN, head=dict(FAMILIES['rsn']['head'], num_stages=1)))


class Graphs:
    """A backend of torch.compile that counts graphs, and runs them with the autograd that is traced ahead."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph, inputs):
        self.count += 1
        return torch._dynamo.lookup_backend('aot_eager')(graph, inputs)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(copy.deepcopy(dict(
        type='mmpose_mspn.TopdownPoseEstimator', data_preprocessor=dict(type='mmpose_mspn.PoseDataPreprocessor'),
        **NETWORKS[name]))).train()


def step(model: nn.Module, loss, seed: int = 0) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """Losses and gradients of one batch; the statistics of norms, which the forward pass changes, with the losses."""
    torch.manual_seed(seed)
    crops = torch.randn(2, 3, *INPUT[::-1], dtype=next(model.parameters()).dtype)
    batch = samples(2, seed=seed)
    for number, sample in enumerate(batch):
        sample.set_metainfo(dict(img_id=100 * seed + number, img_path=f'{seed}_{number}.jpg'))
    losses = loss(crops, batch)
    model.zero_grad()
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    values = {**losses, **{name: buffer.clone() for name, buffer in model.named_buffers()}}
    return ({name: value.detach() for name, value in values.items()},
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None})


@pytest.mark.parametrize('name', NETWORKS)
def test_one_graph_with_the_eager_losses_and_gradients(name):
    """In float64; the loss computes in float32. The second batch has other files and other labels."""
    model = build(name).double()
    expected_model = copy.deepcopy(model)
    graphs = Graphs()
    torch._dynamo.reset()
    loss = torch.compile(model.loss, backend=graphs, fullgraph=True)
    for seed in (0, 1):
        values, gradients = step(model, loss, seed)
        expected_values, expected_gradients = step(expected_model, expected_model.loss, seed)
        assert values.keys() == expected_values.keys() and gradients.keys() == expected_gradients.keys()
        torch.testing.assert_close(values, expected_values, rtol=1e-6, atol=1e-6)
        for weight, gradient in gradients.items():
            apart = (gradient - expected_gradients[weight]).norm()
            assert apart <= 1e-6 * expected_gradients[weight].norm() + 1e-9, (weight, apart)
    assert graphs.count == 1


def test_one_graph_in_bf16():
    model = build('mspn1')
    graphs = Graphs()
    torch._dynamo.reset()
    loss = torch.compile(model.loss, backend=graphs, fullgraph=True)
    with torch.autocast('cpu', torch.bfloat16):
        values, gradients = step(model, loss)
    assert graphs.count == 1
    assert all(value.isfinite().all() for value in (*values.values(), *gradients.values()))
    assert values['loss_stage0'].dtype == torch.float32


def batch_of(seed: int, visible: int = 2) -> dict:
    draw = torch.Generator().manual_seed(seed)
    crops = [torch.randint(0, 255, (3, *INPUT[::-1]), dtype=torch.uint8, generator=draw) for _ in range(2)]
    return dict(inputs=crops, data_samples=samples(2, seed=seed, visible=visible))


def test_a_step_of_mmengine_trains_the_same_weights():
    """``compile`` of a config compiles ``train_step``; gradients of two batches are accumulated."""
    torch._dynamo.reset()
    eager, graphs = build('mspn1'), Graphs()
    compiled = copy.deepcopy(eager)
    compiled.train_step = torch.compile(compiled.train_step, backend=graphs)
    counts = []
    for model in (eager, compiled):
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-6), accumulative_counts=2)
        wrapper.initialize_count_status(model, 0, 4)
        for seed in range(4):
            model.train_step(batch_of(seed), wrapper)
            counts.append(graphs.count)
    assert counts[5:] == counts[5:6] * 3  # nothing is compiled anew from the second step
    torch.testing.assert_close(compiled.state_dict(), eager.state_dict(), rtol=1e-4, atol=1e-5)
    weights = build('mspn1').state_dict()
    assert any(not torch.equal(weights[name], value) for name, value in eager.state_dict().items() if 'weight' in name)


def test_a_compiled_step_refuses_clipped_visibility():
    torch._dynamo.reset()
    model = build('mspn1')
    train_step = torch.compile(model.train_step, backend='eager')
    with pytest.raises(DataError, match='none of 34 labeled keypoints has visibility 2'):
        train_step(batch_of(0, visible=1), OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3)))
