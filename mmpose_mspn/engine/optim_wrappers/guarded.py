"""A guard around an optimizer wrapper: losses that are NaN or infinite do not reach the weights."""
from contextlib import AbstractContextManager
from typing import Callable, Dict, List, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


class GuardedOptimWrapper(OptimWrapper):
    """An optimizer wrapper that leaves out each step whose loss is NaN or infinite in any process.

    :class:`mmpose_mspn.engine.NonFiniteLossHook` puts it around the run's own optimizer wrapper, whatever its class,
    after mmengine has built that one, attached the parameter schedulers to it and resumed its state. Both share the
    optimizer, so the schedulers go on working, and a checkpoint holds what it holds without the guard. Every method is
    the wrapped object's except those between the loss and the optimizer's step. Attributes that are not listed here are
    read from the wrapped object.

    The check of the loss is queued on the device before the backward pass and its result is read after it, so that it
    costs no waiting time. A class with an ``update_params`` of its own is handed finite losses only, so there the
    result is read first.

    Args:
        wrapped: The optimizer wrapper of the run.
        on_non_finite: Called with the loss and with the number of non-finite losses in a row, this one included, after
            the backward pass. If it returns, the step (with gradient accumulation: the whole step) is left out.
    """

    def __init__(self, wrapped: OptimWrapper, on_non_finite: Callable[[Tensor, int], None]) -> None:
        # mmengine's constructor would make a second state of what the wrapped object has already.
        self.wrapped = wrapped
        self.on_non_finite = on_non_finite
        self._in_a_row = 0
        self._leaves_out_step = False

    def update_params(self, loss: Tensor, step_kwargs: Optional[Dict] = None,
                      zero_kwargs: Optional[Dict] = None) -> None:
        overridden = type(self.wrapped).update_params is not OptimWrapper.update_params
        if overridden and not self._leaves_out_step and bool(all_finite(loss)):
            self._in_a_row = 0
            self.wrapped.update_params(loss, step_kwargs, zero_kwargs)
        else:
            super().update_params(loss, step_kwargs, zero_kwargs)  # calls the backward and the step below

    def backward(self, loss: Tensor, **kwargs) -> None:
        finite = FetchedFlag(all_finite(loss))
        # With a non-finite loss too: DistributedDataParallel expects a backward pass after each forward pass.
        self.wrapped.backward(loss, **kwargs)
        if finite.read():
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._leaves_out_step = True
        self.on_non_finite(loss, self._in_a_row)

    def step(self, **kwargs) -> None:
        leaves_out, self._leaves_out_step = self._leaves_out_step, False
        if not leaves_out:
            self.wrapped.step(**kwargs)

    def zero_grad(self, **kwargs) -> None:
        self.wrapped.zero_grad(**kwargs)

    def optim_context(self, model: nn.Module) -> AbstractContextManager:
        return self.wrapped.optim_context(model)

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        self.wrapped.initialize_count_status(model, init_counts, max_counts)

    def should_update(self) -> bool:
        return self.wrapped.should_update()

    def should_sync(self) -> bool:
        return self.wrapped.should_sync()

    def scale_loss(self, loss: Tensor) -> Tensor:
        return self.wrapped.scale_loss(loss)

    @property
    def inner_count(self) -> int:
        return self.wrapped.inner_count

    def state_dict(self) -> dict:
        return self.wrapped.state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        self.wrapped.load_state_dict(state_dict)

    @property
    def param_groups(self) -> List[dict]:
        return self.wrapped.param_groups

    @property
    def defaults(self) -> dict:
        return self.wrapped.defaults

    def get_lr(self) -> Dict[str, List[float]]:
        return self.wrapped.get_lr()

    def get_momentum(self) -> Dict[str, List[float]]:
        return self.wrapped.get_momentum()

    def __getattr__(self, name: str) -> object:
        # During unpickling, ``wrapped`` is not set yet. Special methods are looked up on this class alone.
        if name == 'wrapped' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.wrapped!r})'


class FetchedFlag:
    """A flag that a device computes, copied to the host while the device goes on.

    Args:
        flag: One element, 0 or 1.
    """

    def __init__(self, flag: Tensor) -> None:
        self._ready = None
        if flag.is_cuda:
            self._flag = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
            self._flag.copy_(flag, non_blocking=True)
            self._ready = torch.cuda.Event()
            self._ready.record()
        else:
            self._flag = flag

    def read(self) -> bool:
        """Wait until the device has computed the flag, and return it."""
        if self._ready is not None:
            self._ready.synchronize()
        return bool(self._flag)


def all_finite(loss: Tensor) -> Tensor:
    """Whether the losses of all processes are finite, 1 or 0, on the loss's device."""
    finite = torch.isfinite(loss.detach()).all().int()
    all_reduce(finite, 'min')
    return finite
