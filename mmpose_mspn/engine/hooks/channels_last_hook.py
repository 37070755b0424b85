"""Training with weights laid out channels last."""
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmpose_mspn.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays out the weights channels last before the run, the layout in which CPUs and tensor cores convolve faster.

    Activations take the layout of the weights. Results differ by rounding only.
    """

    def before_run(self, runner: Runner) -> None:
        model, wrapped = runner.model, is_model_wrapper(runner.model)
        if wrapped:
            model = model.module
        model.to(memory_format=torch.channels_last)
        if wrapped:
            # DistributedDataParallel records the layout of the gradients when it wraps the model. With the old record,
            # the gradients of the first step would have their elements in the wrong order.
            runner.model = None
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
