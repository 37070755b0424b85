"""Convolutions as oneDNN runs them fastest on a CPU: weights packed once, addition and ReLU in the same pass.

A plain convolution lays out its weights anew at each call, and every addition and ReLU after it is another pass over
memory. torch has the fused kernels as operators, for its compiler; here a traced graph calls them, which takes no
compiler and no minutes of compiling, and works for any batch size.
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
        model: A pose estimator on the CPU, or a part of one, whose norms are folded into the convolutions.
        dtype: ``torch.bfloat16``, or ``None`` for float32. Heads stay in float32: with the 8 bits of a bfloat16
            mantissa, several cells around a maximum would have the same value.
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


def refuse_move(model: nn.Module, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
    """Refuse to move or convert a model with modules that have no other device or type: those with a ``home``.

    Raises:
        RuntimeError: The model has such modules, and the device is another than theirs or the type is not float32.
    """
    for module in model.modules():
        home = getattr(module, 'home', None)
        if home is not None and (dtype != torch.float32 or device.type != home.type
                                 or device.index not in (None, home.index)):
            raise RuntimeError(f'{module.KIND} cannot be moved or converted, got {device} and {dtype}: move or '
                               'convert the model that was accelerated, then accelerate it again')


def _trace(module: nn.Module) -> Optional[fx.GraphModule]:
    """The module's graph.

    ``None`` if what it computes depends on values of tensors, or if its users call more than its ``forward``.
    """
    if isinstance(module, (BasePoseEstimator, BaseHead, nn.ModuleList, nn.ModuleDict)):
        return None
    try:
        return fx.symbolic_trace(nn.Sequential(module) if isinstance(module, nn.Conv2d) else module)
    except Exception:  # code that is given a proxy in place of a tensor may raise anything
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
        # The tensors have the right type already; autocast would convert the others back and forth.
        with torch.autocast('cpu', enabled=False):
            return self.graph(*inputs, **options)


class PackedConv(nn.Module):
    """relu?(conv(x) + summand?), in one pass over memory.

    torch can neither copy nor pickle weights in the packed layout. So a copy or a pickle takes them in the plain layout
    and packs them again for the same input size, after which it computes the same bits.

    Args:
        conv: The convolution.
        relu: Whether a ReLU follows.
        reuse: Whether the result is written over ``summand``, in its memory.
        dtype: See :func:`pack`.
    """
    KIND, home = 'packed convolutions', torch.device('cpu')

    def __init__(self, conv: nn.Conv2d, relu: bool, reuse: bool, dtype: Optional[torch.dtype]) -> None:
        super().__init__()
        self.dtype = dtype or torch.float32
        self.relu = 'relu' if relu else None
        self.reuse = reuse
        self.args = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.channels, self.kernel = conv.out_channels, conv.kernel_size
        # Neither parameter nor buffer: the packed layout cannot be saved in a state dict.
        self.weight = conv.weight.detach().to(self.dtype)
        self.bias = None if conv.bias is None else conv.bias.detach().to(self.dtype)
        self.packed_for: Optional[list] = None

    def forward(self, x: Tensor, summand: Optional[Tensor] = None) -> Tensor:
        operators = torch.ops.mkldnn
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if self.packed_for is None:  # the best layout depends on the input's size; any layout works for all sizes
            self._pack(list(x.shape))
        if summand is None or summand.shape != self._shape(x):
            convolved = operators._convolution_pointwise(
                x, self.weight, self.bias, *self.args, 'none' if summand is not None else self.relu or 'none', [], '')
            return convolved if summand is None else F.relu(convolved + summand) if self.relu else convolved + summand
        add = operators._convolution_pointwise_ if self.reuse else operators._convolution_pointwise
        first = (summand.to(self.dtype), x) if self.reuse else (x, summand.to(self.dtype))
        return add.binary(*first, self.weight, self.bias, *self.args, 'add', 1.0, self.relu, [], '')

    def _pack(self, size: list) -> None:
        """Lay out the weights as is best for inputs of this size (B, C, H, W)."""
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.args, size)
        self.packed_for = size

    def _shape(self, x: Tensor) -> tuple:
        sides = [(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
                 for size, padding, stride, dilation, kernel in zip(x.shape[2:], *self.args[:3], self.kernel)]
        return (x.shape[0], self.channels, *sides)

    def _apply(self, fn, recurse: bool = True) -> nn.Module:  # every move and conversion
        moved = fn(torch.empty(0))
        refuse_move(self, moved.device, moved.dtype)
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict:
        return dict(self.__dict__, weight=self.weight.to_dense() if self.weight.is_mkldnn else self.weight)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if self.packed_for is not None:
            self._pack(self.packed_for)

    def extra_repr(self) -> str:
        padding, stride, dilation, groups = self.args
        return (f'{self.channels}, kernel_size={self.kernel}, stride={stride}, padding={padding}, dilation={dilation}, '
                f'groups={groups}, relu={self.relu is not None}, reuse={self.reuse}, dtype={self.dtype}')


class AddInPlace(nn.Module):
    """total + summand, written over ``total`` where shape and type allow it."""

    def forward(self, total: Tensor, summand: Tensor) -> Tensor:
        return total.add_(summand) if (total.shape, total.dtype) == (summand.shape, summand.dtype) else total + summand


def _fuse(traced: fx.GraphModule, dtype: Optional[torch.dtype]) -> None:
    """Replace convolutions with what follows them by packed ones, and additions by those in place, in a graph."""
    graph, modules = traced.graph, dict(traced.named_modules())
    for node in list(graph.nodes):  # folded norms are identities
        if _module(node, modules, nn.Identity) is not None:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in list(graph.nodes):
        conv = _module(node, modules, nn.Conv2d)
        if conv is None or isinstance(conv.padding, str) or conv.padding_mode != 'zeros':
            continue
        add = _only_user(node, modules, ADD)
        summand = None if add is None else _other_summand(add, node)
        last = node if summand is None else add
        relu = _only_user(last, modules, RELU, nn.ReLU)
        reuse = summand is not None and _is_free_after(summand, add, modules)
        name = node.target.replace('.', '_') + '_packed'
        modules[name] = PackedConv(conv, relu is not None, reuse, dtype)
        traced.add_submodule(name, modules[name])
        last = relu or last
        with graph.inserting_before(last):
            fused = graph.call_module(name, (node.args[0], ) if summand is None else (node.args[0], summand))
        last.replace_all_uses_with(fused)
        for done in dict.fromkeys((last, last if summand is None else add, node)):
            graph.erase_node(done)
    traced.add_submodule('add_in_place', AddInPlace())
    for node in list(graph.nodes):
        if node.op == 'call_function' and node.target in ADD:
            free = [arg for arg in node.args if isinstance(arg, fx.Node) and _is_free_after(arg, node, modules)]
            summand = _other_summand(node, free[0]) if free else None
            if summand is not None:
                with graph.inserting_before(node):
                    added = graph.call_module('add_in_place', (free[0], summand))
                node.replace_all_uses_with(added)
                graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()


def _module(node: fx.Node, modules: dict, kind: Union[type, Tuple[type, ...]]) -> Optional[nn.Module]:
    """The module that the node calls, if it is of ``kind``."""
    module = modules.get(node.target) if node.op == 'call_module' else None
    return module if isinstance(module, kind) else None


def _only_user(node: fx.Node, modules: dict, functions: tuple, kind: Optional[type] = None) -> Optional[fx.Node]:
    """The only node that takes this node's result, if it calls one of ``functions`` or a module of ``kind``."""
    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    if user.op == 'call_function' and user.target in functions:
        return user
    return user if kind is not None and _module(user, modules, kind) is not None else None


def _other_summand(add: fx.Node, node: fx.Node) -> Optional[fx.Node]:
    """The node that is added to ``node``, if the addition is one of two different nodes."""
    if len(add.args) != 2 or add.kwargs or not all(isinstance(arg, fx.Node) for arg in add.args):
        return None
    summands = [arg for arg in add.args if arg is not node]
    return summands[0] if summands else None


def _is_free_after(node: fx.Node, user: fx.Node, modules: dict) -> bool:
    """Whether a node's result is a tensor with memory of its own that no node after ``user`` reads."""
    order = {reader: place for place, reader in enumerate(node.graph.nodes)}
    fresh = _module(node, modules, (PackedConv, nn.Conv2d, nn.MaxPool2d)) is not None or (
        node.op == 'call_function' and node.target in (*ADD, F.interpolate))
    return fresh and all(order[reader] <= order[user] for reader in node.users)
