"""Convolutions as oneDNN runs them fastest on a CPU: weights packed once, addition and ReLU in the same pass.

A plain convolution lays its weights out anew at each call, and every addition and ReLU behind it is another way through
the memory. torch has the fused kernels as operators that its compiler uses; here a traced graph calls them, which
takes no compiler, no minutes and no new pass for another batch size.
"""
import operator
from typing import Optional, Tuple, Union

import torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, fx, nn
from torch.nn import functional as F

RELU = (F.relu, torch.relu)
ADD = (operator.add, operator.iadd, torch.add)


def can_pack(device: torch.device, dtype: Optional[torch.dtype]) -> bool:
    """Whether a model on ``device`` can have packed convolutions that compute in ``dtype`` (``None``: float32)."""
    operators = torch.ops.mkldnn
    if device.type != 'cpu' or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(operators, '_convolution_pointwise') or not hasattr(operators, '_reorder_convolution_weight'):
        return False
    return dtype is None or (dtype == torch.bfloat16 and operators._is_mkldnn_bf16_supported())


def pack(model: nn.Module, dtype: Optional[torch.dtype] = None) -> None:
    """Replace the parts of a model in eval mode that can be traced by packed ones, in place.

    Args:
        model: A pose estimator on the CPU, or a part of one; norms behind convolutions are folded already.
        dtype: ``torch.bfloat16``, or ``None`` for float32. Heads stay in float32: their last maps in eight bits would
            tie around their maxima.
    """
    if isinstance(model, BaseHead):
        dtype = None
    for name, child in list(model.named_children()):
        if not any(isinstance(module, nn.Conv2d) for module in child.modules()):
            continue
        graph = _trace(child)
        if graph is None:
            pack(child, dtype)
        else:
            setattr(model, name, PackedGraph(graph, dtype))


def _trace(module: nn.Module) -> Optional[fx.GraphModule]:
    """What the module computes, if that depends on no values and the module is there for its ``forward`` only."""
    if isinstance(module, (BasePoseEstimator, BaseHead, nn.ModuleList, nn.ModuleDict)):
        return None
    try:
        return fx.symbolic_trace(nn.Sequential(module) if isinstance(module, nn.Conv2d) else module)
    except Exception:  # whatever code raises that meets a stand-in for a tensor
        return None


class PackedGraph(nn.Module):
    """A traced module whose convolutions are packed; tensors of ``dtype`` pass through it.

    Args:
        graph: The traced module.
        dtype: See :func:`pack`.
    """

    def __init__(self, graph: fx.GraphModule, dtype: Optional[torch.dtype]) -> None:
        super().__init__()
        _fuse(graph, dtype)
        self.graph = graph

    def forward(self, *inputs, **options):
        # Tensors have the right type already; what else autocast would change back and forth.
        with torch.autocast('cpu', enabled=False):
            return self.graph(*inputs, **options)


class PackedConv(nn.Module):
    """relu?(conv(x) + other?), in one pass.

    Args:
        conv: The convolution.
        relu: Whether a ReLU follows.
        reuse: The result takes the place of ``other`` in the memory.
        dtype: See :func:`pack`.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool, reuse: bool, dtype: Optional[torch.dtype]) -> None:
        super().__init__()
        self.dtype = dtype or torch.float32
        self.relu = 'relu' if relu else None
        self.reuse = reuse
        self.args = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.channels, self.kernel = conv.out_channels, conv.kernel_size
        # Neither parameter nor buffer: the packed layout has no state dict.
        self.weight = conv.weight.detach().to(self.dtype)
        self.bias = None if conv.bias is None else conv.bias.detach().to(self.dtype)

    def forward(self, x: Tensor, other: Optional[Tensor] = None) -> Tensor:
        operators = torch.ops.mkldnn
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if not self.weight.is_mkldnn:  # the best layout depends on the input's size; any works for all
            self.weight = operators._reorder_convolution_weight(self.weight, *self.args, list(x.shape))
        if other is None or other.shape != self._shape(x):
            found = operators._convolution_pointwise(
                x, self.weight, self.bias, *self.args, 'none' if other is not None else self.relu or 'none', [], '')
            return found if other is None else F.relu(found + other) if self.relu else found + other
        add = operators._convolution_pointwise_ if self.reuse else operators._convolution_pointwise
        first = (other.to(self.dtype), x) if self.reuse else (x, other.to(self.dtype))
        return add.binary(*first, self.weight, self.bias, *self.args, 'add', 1.0, self.relu, [], '')

    def _shape(self, x: Tensor) -> tuple:
        sides = [(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
                 for size, padding, stride, dilation, kernel in zip(x.shape[2:], *self.args[:3], self.kernel)]
        return (x.shape[0], self.channels, *sides)


def _fuse(traced: fx.GraphModule, dtype: Optional[torch.dtype]) -> None:
    graph, modules = traced.graph, dict(traced.named_modules())
    for node in list(graph.nodes):  # what folded norms left
        if _module(node, modules, nn.Identity) is not None:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in list(graph.nodes):
        conv = _module(node, modules, nn.Conv2d)
        if conv is None or isinstance(conv.padding, str) or conv.padding_mode != 'zeros':
            continue
        add = _only_user(node, modules, ADD)
        other = None if add is None else _other_summand(add, node)
        last = node if other is None else add
        relu = _only_user(last, modules, RELU, nn.ReLU)
        reuse = other is not None and _is_free_after(other, add, modules)
        name = node.target.replace('.', '_') + '_packed'
        modules[name] = PackedConv(conv, relu is not None, reuse, dtype)
        traced.add_submodule(name, modules[name])
        last = relu or last
        with graph.inserting_before(last):
            fused = graph.call_module(name, (node.args[0], ) if other is None else (node.args[0], other))
        last.replace_all_uses_with(fused)
        for done in dict.fromkeys((last, last if other is None else add, node)):
            graph.erase_node(done)
    for node in list(graph.nodes):
        if node.op == 'call_function' and node.target in ADD:
            free = [arg for arg in node.args if isinstance(arg, fx.Node) and _is_free_after(arg, node, modules)]
            if free and _other_summand(node, free[0]) is not None:
                node.target, node.args = _add_in_place, (free[0], _other_summand(node, free[0]))
    traced.delete_all_unused_submodules()
    traced.recompile()


def _add_in_place(one: Tensor, other: Tensor) -> Tensor:
    return one.add_(other) if (one.shape, one.dtype) == (other.shape, other.dtype) else one + other


def _module(node: fx.Node, modules: dict, kind: Union[type, Tuple[type, ...]]) -> Optional[nn.Module]:
    module = modules.get(node.target) if node.op == 'call_module' else None
    return module if isinstance(module, kind) else None


def _only_user(node: fx.Node, modules: dict, functions: tuple, kind: Optional[type] = None) -> Optional[fx.Node]:
    """The one node that takes this one's result, if it is one of ``functions`` or a module of ``kind``."""
    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    if user.op == 'call_function' and user.target in functions:
        return user
    return user if kind is not None and _module(user, modules, kind) is not None else None


def _other_summand(add: fx.Node, node: fx.Node) -> Optional[fx.Node]:
    if len(add.args) != 2 or add.kwargs or not all(isinstance(arg, fx.Node) for arg in add.args):
        return None
    others = [arg for arg in add.args if arg is not node]
    return others[0] if others else None


def _is_free_after(node: fx.Node, user: fx.Node, modules: dict) -> bool:
    """Whether a node's result is a tensor of its own, which nothing needs after ``user``."""
    order = {other: place for place, other in enumerate(node.graph.nodes)}
    fresh = _module(node, modules, (PackedConv, nn.Conv2d, nn.MaxPool2d)) is not None or (
        node.op == 'call_function' and node.target in (*ADD, F.interpolate))
    return fresh and all(order[other] <= order[user] for other in node.users)
