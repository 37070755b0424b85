"""The start and the end of distributed runs, also on machines without a GPU, which mmengine's launcher requires."""
import gc
import os
import re
from typing import Iterator, Tuple

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from mmpose_mspn.registry import MODEL_WRAPPERS
from mmpose_mspn.utils.errors import UserError

ADDRESS = re.compile(r' at 0x[0-9a-f]+')
"""Of functions in the texts of Python."""
OF_ONE_PROCESS = ('work_dir', 'load_from', 'resume', 'launcher')
"""Settings at the top of a config that may differ between the processes of a run."""


class LaunchError(UserError, RuntimeError):
    """A run cannot be started as it was asked for."""


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper for a model on the CPU, which has no device ids."""

    def __init__(self, module: nn.Module, device_ids: object = None, **kwargs) -> None:
        super().__init__(module, device_ids=None, **kwargs)


def prepare_launch(cfg: Config) -> None:
    """Prepare a distributed run on this machine.

    With a GPU nothing has to be done. Without one, the process group is created here with gloo, because mmengine would
    select a CUDA device first, and the config gets a model wrapper without device ids.

    Args:
        cfg: The run's config, with ``launcher``; changed in place.

    Raises:
        LaunchError: There is no GPU, and the launcher is not ``'pytorch'`` or its environment variables are missing.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise LaunchError(f'launcher {cfg.launcher} needs a GPU, and none is available; use --launcher pytorch')
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise LaunchError(f'--launcher pytorch without {", ".join(missing)}: start it with tools/dist_train.sh, '
                          'tools/dist_test.sh or torchrun')
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    set_wrapper(cfg, type='mmpose_mspn.CPUDistributedDataParallel')


def set_wrapper(cfg: Config, **options) -> None:
    """Set options of the model wrapper of a distributed run.

    Without a ``model_wrapper_cfg``, mmengine does not send the buffers of rank 0 to the other processes in each step,
    as torch does by default. With one, it leaves this to the config, so its defaults are written out here.

    Args:
        cfg: The run's config; changed in place.
        options: Options of ``MMDistributedDataParallel``, which take precedence.
    """
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, **options)


def set_static_graph(cfg: Config) -> None:
    """Let DistributedDataParallel use a static graph where it can.

    It cannot with gradient accumulation, where not every backward pass exchanges gradients, and it is of no use where
    unused parameters are searched for in each step.
    """
    wrapper = cfg.get('model_wrapper_cfg') or {}
    unused = wrapper.get('find_unused_parameters', cfg.get('find_unused_parameters', False))
    if cfg.launcher != 'none' and cfg.optim_wrapper.get('accumulative_counts', 1) == 1 and not unused:
        set_wrapper(cfg, static_graph=True)


def refuse_different_configs(cfg: Config) -> None:
    """Check that all processes of a run have the same config, except for paths, which may differ between machines.

    Raises:
        LaunchError: They differ, in the setting that the message names.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return
    settings = dict(_settings(cfg._cfg_dict, ''))
    everywhere: list = [None] * distributed.get_world_size()
    distributed.all_gather_object(everywhere, settings)
    for rank, others in enumerate(everywhere):
        for name in sorted(everywhere[0].keys() | others.keys()):
            values = [side.get(name, 'nothing') for side in (everywhere[0], others)]
            if values[0] != values[1]:
                raise LaunchError(f'the processes of this run have different configs: {name} is {values[0]} in process '
                                  f'0 and {values[1]} in process {rank}: start all of them with the same config and '
                                  'options')


def _settings(node: object, name: str) -> Iterator[Tuple[str, str]]:
    """The values in nested dicts and lists as texts, without paths, by their names with dots."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else None
    if items is None:
        if not isinstance(node, str) or not {'/', os.sep} & set(node):
            yield name, ADDRESS.sub('', repr(node))
        return
    for key, value in items:
        if name or key not in OF_ONE_PROCESS:
            yield from _settings(value, f'{name}.{key}'.lstrip('.'))


def end_launch() -> None:
    """Destroy the process group after a run, when no references to the run are left.

    If the process group or the reducer of the wrapped model exists until the interpreter shuts down, torch sometimes
    aborts the process (in 6 of 25 launches with gloo), and the launcher reports a failed run.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.barrier()
        destroy_process_group()


def destroy_process_group() -> None:
    """torch's function of this name, without its deadlock in old versions, of which torch 2.1 is one.

    There, gloo's threads are joined with Python's lock held. A thread that drops the last reference to a tensor of an
    exchange waits for that lock, and both wait forever. gloo's own Python object releases the lock when it ends, so
    it has to be the last that refers to the group.
    """
    group = distributed.group.WORLD
    last = group._get_backend(torch.device('cpu')) if distributed.get_backend() == 'gloo' else None
    del group
    distributed.destroy_process_group()
    del last
