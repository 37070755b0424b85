"""A guard around an optimizer wrapper: losses that are NaN or infinite do not reach the weights."""
from contextlib import AbstractContextManager
from typing import Callable, Dict, List, Optional

import torch
from mmengine.dist import get_comm_device, is_distributed
from mmengine.optim import OptimWrapper
from torch import Tensor, distributed, nn


class GuardedOptimWrapper(OptimWrapper):
    """An optimizer wrapper that leaves out each step whose loss is NaN or infinite in any process.

    :class:`mmpose_mspn.engine.NonFiniteLossHook` puts it around the run's own optimizer wrapper, whatever its class,
    after mmengine has built that one, attached the parameter schedulers to it and resumed its state. Both share the
    optimizer, so the schedulers go on working, and a checkpoint holds what it holds without the guard. Every method is
    the wrapped object's except those between the loss and the optimizer's step. Attributes that are not listed here are
    read from the wrapped object.

    The processes compare their losses while they run the backward pass, after which the result is read, so that the
    check costs no waiting time. A class with an ``update_params`` of its own is handed finite losses only, so there the
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
        if overridden and not self._leaves_out_step and AllFinite(loss).read():
            self._in_a_row = 0
            self.wrapped.update_params(loss, step_kwargs, zero_kwargs)
        else:
            super().update_params(loss, step_kwargs, zero_kwargs)  # calls the backward and the step below

    def backward(self, loss: Tensor, **kwargs) -> None:
        finite = AllFinite(loss)
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


class AllFinite:
    """Whether the losses of all processes are finite; found out while this process goes on.

    On a GPU, the exchange and the copy to the host are queued on a stream of their own: on that of the training, they
    would end after the backward pass.

    Args:
        loss: The loss of this process.
    """

    def __init__(self, loss: Tensor) -> None:
        flag = torch.isfinite(loss.detach()).all().int()
        self._stream = torch.cuda.Stream(flag.device) if flag.is_cuda else None
        self._ready: Optional[torch.cuda.Event] = None
        self._exchange: Optional[distributed.Work] = None
        if self._stream is None:
            self._flag = self._exchanged(flag)
            return
        self._stream.wait_stream(torch.cuda.current_stream(flag.device))
        with torch.cuda.stream(self._stream):
            self._on_device = self._exchanged(flag)  # referenced here, so that its memory is not given away meanwhile
            if self._exchange is not None:
                self._exchange.wait()  # the stream waits, the host does not
            self._flag = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
            self._flag.copy_(self._on_device, non_blocking=True)
            self._ready = torch.cuda.Event()
            self._ready.record()

    def _exchanged(self, flag: Tensor) -> Tensor:
        """The tensor that will hold the smallest flag of all processes."""
        if is_distributed():
            flag = flag.to(get_comm_device())
            self._exchange = distributed.all_reduce(flag, distributed.ReduceOp.MIN, async_op=True)
        return flag

    def read(self) -> bool:
        """Wait for the result, and return it."""
        if self._ready is not None:
            self._ready.synchronize()
        elif self._exchange is not None:
            self._exchange.wait()
        return bool(self._flag)
