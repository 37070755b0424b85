"""``fused=True`` is a wish where the installed torch cannot fuse, and what torch makes of it elsewhere."""
import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.torch_version import TorchVersion

from mmpose_mspn import fused_optimizers
from mmpose_mspn.fused_optimizers import fused_where_possible, register_unfused_optimizers


class WithFused(torch.optim.SGD):

    def __init__(self, params, lr=1e-3, fused=None):
        super().__init__(params, lr)
        self.asked = fused


class WithoutFused(torch.optim.SGD):

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.asked = None


PARAMS = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(3))]
META = nn.Parameter(torch.zeros(1, device='meta'))


@pytest.mark.parametrize('params', [
    lambda: PARAMS, lambda: iter(PARAMS), lambda: [dict(params=PARAMS[:1]), dict(params=iter(PARAMS[1:]), lr=1.)],
    lambda: [dict(params=PARAMS[0]), dict(params=PARAMS[1:])]])
@pytest.mark.parametrize('kind, devices, wished, asked', [
    (WithFused, ('cuda', 'cpu'), True, True), (WithFused, ('cuda', ), True, None), (WithFused, ('cpu', ), False, False),
    (WithFused, ('cpu', ), None, None), (WithoutFused, ('cpu', ), True, None), (WithoutFused, ('cpu', ), False, None)])
def test_it_is_fused_where_it_can_be(kind, devices, wished, asked, params):
    built = fused_where_possible(kind, devices)(params(), lr=0.5, fused=wished)
    assert type(built) is kind and built.asked is asked
    assert [one for group in built.param_groups for one in group['params']] == PARAMS
    assert built.param_groups[0]['lr'] == 0.5


def test_one_parameter_elsewhere_is_enough():
    assert fused_where_possible(WithFused, ('cpu', ))([*PARAMS, META], fused=True).asked is None


@pytest.fixture
def registry():
    before = dict(OPTIMIZERS.module_dict)
    yield OPTIMIZERS
    OPTIMIZERS.module_dict.clear()
    OPTIMIZERS.module_dict.update(before)


def test_newer_versions_of_torch_are_left_alone(registry, monkeypatch):
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.4.0'))
    before = dict(registry.module_dict)
    register_unfused_optimizers()
    assert registry.module_dict == before


@pytest.mark.parametrize('kind', ['Adam', 'AdamW', 'SGD'])
def test_configs_of_mmengine_build_them(registry, monkeypatch, kind):
    """As torch 2.1 would: fused on GPUs alone. The log names the optimizer, the signature stays that of the class."""
    said = []
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.1.0'))
    monkeypatch.setattr('torch.utils._foreach_utils._get_fused_kernels_supported_devices', lambda: ['cuda'])
    monkeypatch.setattr(fused_optimizers, 'print_log', lambda text, *_: said.append(text))
    register_unfused_optimizers()
    wrapper = build_optim_wrapper(nn.Linear(2, 1), dict(
        optimizer=dict(type=kind, lr=0.25, fused=True), paramwise_cfg=dict(bias_lr_mult=2.)))
    assert isinstance(wrapper, OptimWrapper) and type(wrapper.optimizer) is getattr(torch.optim, kind)
    assert {group['lr'] for group in wrapper.param_groups} == {0.25, 0.5}
    assert not wrapper.param_groups[0].get('fused')
    assert said == [f'{kind} is not fused, because torch 2.1.0 cannot fuse it here: steps take longer']


def test_arguments_are_still_checked_by_torch(registry):
    with pytest.raises(TypeError, match='no_such_argument'):
        fused_where_possible(torch.optim.Adam, ())(PARAMS, no_such_argument=1)
