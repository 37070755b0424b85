"""A GPU that is emulated with tensors on the CPU: device checks, autocast rules and blocking calls, without a GPU.

Within :class:`FakeCuda`, a tensor that is moved to ``'cuda'`` stays in the CPU's memory. Its storage is marked, and
``tensor.device`` and ``tensor.is_cuda`` say what they would say on a GPU. Every operator is computed on the CPU,
gradients included, after a check that its tensors are on one device. Memory, speed, rounding and kernels of a GPU are
not emulated.
"""
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import Any, Iterator, List, Optional, Union
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CPU, CUDA = torch.device('cpu'), torch.device('cuda', 0)
WAITING_OPERATORS = {
    'aten::_local_scalar_dense', 'aten::nonzero', 'aten::masked_select', 'aten::_unique2', 'aten::unique_dim',
    'aten::equal', 'aten::is_nonzero', 'aten::repeat_interleave.Tensor'
}
"""Operators whose result, or whose size of the result, the host reads."""
FROM_HOST = {torch.tensor, torch.as_tensor, torch.asarray}
IN_LOW_PRECISION = {
    torch.conv1d, torch.conv2d, torch.conv_transpose2d, torch.nn.functional.linear, torch.matmul, Tensor.matmul,
    Tensor.__matmul__, torch.mm, torch.bmm
}
IN_FLOAT32 = {torch.nn.functional.mse_loss, torch.norm, Tensor.norm, torch.sum, Tensor.sum, torch.pow, Tensor.pow}
WIDEST = {torch.cat, torch.stack, torch.nn.functional.grid_sample}
"""The rules of autocast on CUDA (torch's documentation, "CUDA Ops that can autocast"), as far as they are needed."""


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()


_TENSOR = torch.zeros(1)
needs_marks = pytest.mark.skipif(
    _storage(_TENSOR) is not _storage(_TENSOR),
    reason=f'torch {torch.__version__} makes a new object of a storage each time, so that marks are lost')
"""Marks the tests that need the emulated GPU."""


def device_of(tensor: Tensor) -> torch.device:
    """The device that the tensor's storage is marked with."""
    return getattr(_storage(tensor), 'fake_device', CPU)


def mark(tensor: Tensor, device: torch.device) -> Tensor:
    _storage(tensor).fake_device = device
    return tensor


def is_pinned(tensor: Tensor) -> bool:
    return getattr(_storage(tensor), 'fake_pinned', False)


def _tensors(*trees: Any) -> List[Tensor]:
    return [leaf for leaf in tree_flatten(trees)[0] if isinstance(leaf, Tensor)]


class Waits(Counter):
    """How often the host waited for the device, by the name of the call."""


class _Operators(TorchDispatchMode):
    """Device checks of every operator, those of the backward pass included."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name + (f'.{func._schema.overload_name}' if func._schema.overload_name else '')
        inputs = _tensors(args, kwargs)
        on_cuda = any(device_of(tensor) == CUDA for tensor in inputs)
        if func is torch.ops.aten.copy_.default and device_of(args[0]) != device_of(args[1]):
            non_blocking = len(args) > 2 and args[2]
            if not (non_blocking and any(is_pinned(tensor) for tensor in args[:2])):
                self.waits['copy_'] += 1
            return func(*args, **kwargs)
        if on_cuda:
            # An index may lie on the CPU: CUDA copies it. FakeCuda counts this where it sees the index.
            checked = _tensors(args[:1], args[2:]) if name.startswith(('aten::index.', 'aten::index_put')) else inputs
            wrong = [tensor for tensor in checked if device_of(tensor) == CPU and tensor.dim() > 0]
            if wrong:
                raise RuntimeError(f'{name}: expected all tensors to be on the same device, but found tensors on '
                                   f'cuda:0 and on cpu (of shape {tuple(wrong[0].shape)})')
            if name in WAITING_OPERATORS:
                self.waits[name] += 1
            if name == 'aten::index.Tensor' and any(index.dtype == torch.bool for index in _tensors(args[1])):
                self.waits['a mask as an index'] += 1
        found = func(*args, **kwargs)
        # torch's formulas of gradients make tensors on the device of the gradient, whose storage is the CPU's here.
        made_by_a_gradient = not inputs and torch._C._current_autograd_node() is not None
        if on_cuda or made_by_a_gradient:
            for tensor in _tensors(found):
                mark(tensor, CUDA)
        return found


class FakeCuda(TorchFunctionMode):
    """The emulated GPU.

    Attributes:
        waits: :class:`Waits` since the start, or since :meth:`Waits.clear`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()
        self.autocast_dtype: Optional[torch.dtype] = None

    def __enter__(self) -> 'FakeCuda':
        self._stack = ExitStack()
        self._stack.enter_context(mock.patch.object(torch, 'autocast', self._autocast))
        self._stack.enter_context(_Operators(self.waits))
        super().__enter__()
        return self

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        self._stack.close()

    @contextmanager
    def counted(self) -> Iterator[Waits]:
        """The waits within this context."""
        self.waits.clear()
        yield self.waits

    def _autocast(self, device_type: str, dtype: Optional[torch.dtype] = None, enabled: bool = True, **kwargs):
        """What ``torch.autocast`` gives, which a build of torch without CUDA disables for CUDA."""
        if device_type != 'cuda':
            return _AUTOCAST(device_type, dtype=dtype, enabled=enabled, **kwargs)
        return _Autocast(self, (dtype or torch.float16) if enabled else None)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, '__name__', '')
        if name == '__get__':
            return self._attribute(func, args)
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self._moved(func, *args, **kwargs)
        if func is Tensor.pin_memory:
            pinned = args[0].clone()
            _storage(pinned).fake_pinned = True
            return pinned
        if func is Tensor.is_pinned:
            return is_pinned(args[0])
        if name in ('numpy', '__array__') and device_of(args[0]) == CUDA:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if name == 'tolist' and device_of(args[0]) == CUDA:
            self.waits['tolist'] += 1
        if name in ('__getitem__', '__setitem__') and device_of(args[0]) == CUDA and _has_host_index(args[1]):
            self.waits['an index from the host'] += 1
        if func is Tensor.new_tensor:
            return self._from_host(func, args, kwargs, kwargs.get('device', device_of(args[0])))
        if func in FROM_HOST:
            return self._from_host(func, args, kwargs, kwargs.get('device'))
        if kwargs.get('device') is not None:
            return self._made(func, args, kwargs)
        if self.autocast_dtype is not None:
            args, kwargs = self._cast(func, args, kwargs)
        return self._computed(func, args, kwargs)

    def _attribute(self, func, args) -> Any:
        owner = getattr(func, '__self__', None)
        if owner is Tensor.device:
            return device_of(args[0])
        if owner is Tensor.is_cuda:
            return device_of(args[0]) == CUDA
        if owner is Tensor.is_cpu:
            return device_of(args[0]) == CPU
        return func(*args)

    def _moved(self, func, tensor: Tensor, *args, **kwargs) -> Tensor:
        copy, non_blocking, memory_format = kwargs.pop('copy', False), kwargs.pop('non_blocking', False), None
        if func is not Tensor.to:
            device, dtype = CPU if func is Tensor.cpu else CUDA, None
        elif args and isinstance(args[0], Tensor):
            device, dtype = device_of(args[0]), args[0].dtype
        else:
            device, dtype, given, memory_format = torch._C._nn._parse_to(*args, **kwargs)
            non_blocking = non_blocking or given
        options = {} if memory_format is None else dict(memory_format=memory_format)
        found = tensor.to(dtype or tensor.dtype, copy=copy, **options)
        device = device_of(tensor) if device is None else _full(device)
        if device == device_of(tensor):
            return found
        # From the device, a copy that does not block writes to pinned memory that torch allocates.
        if not (non_blocking and (device == CPU or is_pinned(tensor))):
            self.waits[f'a blocking copy to {device}'] += 1
        return mark(found.clone(), device)

    def _from_host(self, func, args, kwargs, device: Union[None, str, torch.device]) -> Tensor:
        if kwargs.get('device') is not None:
            kwargs['device'] = 'cpu'
        found = func(*args, **kwargs)
        if device is None or _full(device) == device_of(found):
            return found
        self.waits[f'{func.__name__} from the host'] += 1
        return mark(found.clone(), _full(device))

    def _made(self, func, args, kwargs) -> Any:
        device, kwargs['device'] = _full(kwargs['device']), 'cpu'
        return tree_map(lambda leaf: mark(leaf, device) if isinstance(leaf, Tensor) else leaf, func(*args, **kwargs))

    def _cast(self, func, args, kwargs) -> tuple:
        """The arguments as autocast casts them."""
        floats = [tensor.dtype for tensor in _tensors(args, kwargs) if tensor.is_floating_point()]
        if func in IN_LOW_PRECISION:
            dtype = self.autocast_dtype
        elif func in IN_FLOAT32 or func in WIDEST and torch.float32 in floats:
            dtype = torch.float32
        else:
            return args, kwargs

        def cast(leaf: Any) -> Any:
            is_cast = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype != torch.float64
            return leaf.to(dtype) if is_cast and device_of(leaf) == CUDA else leaf
        return tree_map(cast, args), tree_map(cast, kwargs)

    def _computed(self, func, args, kwargs) -> Any:
        """The function's result; convolutions in float16 are computed in float32, which every CPU can do."""
        if func not in IN_LOW_PRECISION:  # others may have large arguments, such as the memo of a deep copy
            return func(*args, **kwargs)
        tensors = _tensors(args, kwargs)
        if not tensors or tensors[0].dtype != torch.float16:
            return func(*args, **kwargs)
        if any(tensor.dtype != torch.float16 for tensor in tensors):
            raise RuntimeError(f'{func.__name__}: expected all tensors to have one type, got '
                               f'{sorted({str(tensor.dtype) for tensor in tensors})}')
        args, kwargs = tree_map(lambda leaf: leaf.float() if isinstance(leaf, Tensor) else leaf, (args, kwargs))
        return func(*args, **kwargs).half()


_AUTOCAST = torch.autocast


class _Autocast:
    """A context in which the emulated autocast of ``device`` has ``dtype``; ``None``: none."""

    def __init__(self, device: FakeCuda, dtype: Optional[torch.dtype]) -> None:
        self.device, self.dtype = device, dtype

    def __enter__(self) -> None:
        self.before, self.device.autocast_dtype = self.device.autocast_dtype, self.dtype

    def __exit__(self, *error) -> None:
        self.device.autocast_dtype = self.before


def _full(device: Union[str, int, torch.device]) -> torch.device:
    device = torch.device(device)
    return CUDA if device.type == 'cuda' else device


def _has_host_index(index: Any) -> bool:
    """Whether an index is a list, an array, or a tensor on the CPU, which CUDA copies to the device and waits for."""
    def parts() -> Iterator[Any]:
        yield from index if isinstance(index, tuple) else (index, )

    return any(isinstance(part, (list, np.ndarray)) or
               (isinstance(part, Tensor) and part.dim() > 0 and device_of(part) == CPU) for part in parts())
