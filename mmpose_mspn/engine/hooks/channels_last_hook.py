"""Training with weights laid out channels last."""
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmpose_mspn.engine.optimizer_state import lay_out_like_parameters
from mmpose_mspn.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays out the weights channels last before the first step, the layout in which CPUs and tensor cores convolve
    faster.

    Activations take the layout of the weights. Results differ by rounding only. The layout changes after the weights
    have been initialized or loaded, because random values are drawn in the order of the memory: in another layout the
    same seed would give other weights.
    """

    priority = 'ABOVE_NORMAL'  # before the hooks that take the model or the optimizer

    def before_train(self, runner: Runner) -> None:
        model, wrapped = runner.model, is_model_wrapper(runner.model)
        if wrapped:
            model = model.module
        _lay_out(model)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            lay_out_like_parameters(runner.optim_wrapper.optimizer)
        if wrapped:
            # DistributedDataParallel records the layout of the gradients when it wraps the model. With the old record,
            # the gradients of the first step would have their elements in the wrong order.
            runner.model = None
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
            if runner.cfg.get('compile'):
                runner._maybe_compile('train_step')  # of the new wrapper

    def before_val(self, runner: Runner) -> None:
        _lay_out(runner.model)

    def before_test(self, runner: Runner) -> None:
        _lay_out(runner.model)


def _lay_out(model: nn.Module) -> None:
    model.to(memory_format=torch.channels_last)
