"""Checkpoints are compared with the run before they change anything in it."""
from typing import Mapping

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmpose_mspn.checkpoints.embedded_config import other_codec, other_crops
from mmpose_mspn.checkpoints.fit import describe_carried, refuse_incomplete_weights, refuse_other_models
from mmpose_mspn.engine.training_state import adapt, options_mismatch, refuse_other_optimizers, schedule_mismatch
from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import CheckpointError
from mmpose_mspn.utils.numbers import is_integer

TYPE = 'mmpose_mspn.CheckpointFitHook'


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Compares each checkpoint that the runner loads with the run, before it changes anything.

    mmengine loads the weights that fit, leaves the others at their random values and continues. Here

    - a test refuses a checkpoint that does not have all weights of the model,
    - a resumed training refuses one that has not exactly the model's weights, is of another optimizer or other
      parameter schedulers, or has no state of them, and warns of schedulers and an optimizer with other settings, and
      of another codec; the run's own implementation of the optimizer remains in effect (see
      :func:`mmpose_mspn.engine.training_state.adapt`),
    - a training from ``load_from`` refuses one that has none of the model's weights, and otherwise logs which are
      carried over,
    - all warn of one that was trained on crops of another size.

    Raises:
        CheckpointError: The checkpoint is refused, in each case also because of NaN or infinite weights.
    """

    priority = 'VERY_LOW'  # after the hooks that change the checkpoint

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        name = runner._load_from or f'in {runner.work_dir}'
        crops = other_crops(checkpoint, model, name)
        if crops is not None:
            runner.logger.warning(crops)
        if isinstance(runner._train_loop, BaseLoop):
            if runner._resume:
                _check_resumed(runner, model, checkpoint, name)
            else:
                runner.logger.info(describe_carried(checkpoint, model, name))
        elif isinstance(runner._test_loop, BaseLoop) or isinstance(runner._val_loop, BaseLoop):
            refuse_incomplete_weights(checkpoint, model, name)
        else:
            runner.logger.info(describe_carried(checkpoint, model, name))


def _check_resumed(runner: Runner, model: nn.Module, checkpoint: dict, name: str) -> None:
    refuse_other_models(checkpoint, model, name)
    meta = checkpoint.get('meta')
    parts = [part for part in ('message_hub', 'optimizer') if part not in checkpoint]
    parts += [f'meta.{key}' for key in ('epoch', 'iter') if not isinstance(meta, Mapping) or key not in meta]
    if isinstance(runner.param_schedulers, (list, dict)) and 'param_schedulers' not in checkpoint:
        parts.append('param_schedulers')
    if parts:
        raise CheckpointError(f'checkpoint {name} cannot be resumed, because it lacks {", ".join(parts)} (best and '
                              'published checkpoints hold weights only): resume from one that was written during the '
                              'training, or start a new training from its weights with load_from')
    _check_progress(runner, meta, name)
    codec = other_codec(checkpoint, model)
    if codec is not None:
        runner.logger.warning(f'the training of checkpoint {name} had another codec, and goes on with that of the '
                              f'config: {codec}. What the network has learned so far is for the other one')
    schedulers = runner.param_schedulers
    if isinstance(schedulers, list) and len(schedulers) != len(checkpoint['param_schedulers']):
        raise CheckpointError(
            f'checkpoint {name} cannot be resumed: it has {len(checkpoint["param_schedulers"])} parameter schedulers, '
            f'the run has {len(schedulers)}: resume with the config it was trained with')
    mismatch = schedule_mismatch(checkpoint['param_schedulers'], schedulers) if isinstance(schedulers, list) else None
    if mismatch is not None:
        runner.logger.warning(f'{mismatch}: its learning rate will not be that of a training with this config from the '
                              'start. To make trainings longer, give the schedulers an end from the first run on, or '
                              'start a new training from the weights with load_from')
    if isinstance(runner.optim_wrapper, OptimWrapper):  # a dict of wrappers has one state for each
        refuse_other_optimizers(checkpoint['optimizer'], runner.optim_wrapper.optimizer, name)
        options = options_mismatch(checkpoint['optimizer'], runner.optim_wrapper.optimizer)
        if options is not None:
            runner.logger.warning(f'{options}, because a resumed training goes on as it began. To train with those of '
                                  'the config, start a new training from the weights with load_from')
        adapt(checkpoint['optimizer'], runner.optim_wrapper)
    # mmengine would run this text as Python, to read from it the number of GPUs of a version that did not save it
    # elsewhere.
    meta.pop('config', None)


def _check_progress(runner: Runner, meta: Mapping, name: str) -> None:
    """Refuse numbers of epochs and iterations that are none, and warn where nothing is left to train."""
    for key in ('epoch', 'iter'):
        if not is_integer(meta[key]) or meta[key] < 0:
            raise CheckpointError(f'checkpoint {name} cannot be resumed: its meta.{key} must be an integer >= 0, got '
                                  f'{meta[key]!r}: take another one')
    if meta['iter'] >= runner.train_loop.max_iters:
        runner.logger.warning(f'checkpoint {name} has done {meta["iter"]} of {runner.train_loop.max_iters} iterations: '
                              'nothing is left to train or to validate; measure it with tools/test.py')


def check_loaded_weights(cfg: Config) -> None:
    """Add :class:`CheckpointFitHook` to the config of a run, if it is not there."""
    hooks = list(cfg.get('custom_hooks') or [])
    if all(hook['type'] != TYPE for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type=TYPE)]
