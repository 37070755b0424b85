"""The start and the end of distributed runs, also on machines without a GPU, which mmengine's launcher requires."""
import gc
import os

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from mmpose_mspn.registry import MODEL_WRAPPERS


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
        RuntimeError: There is no GPU, and the launcher is not ``'pytorch'`` or its environment variables are missing.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(f'launcher {cfg.launcher} needs a GPU, and none is available; use --launcher pytorch')
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise RuntimeError(f'--launcher pytorch without {", ".join(missing)}: start it with tools/dist_train.sh, '
                           'tools/dist_test.sh or torchrun')
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    wrapper['type'] = 'mmpose_mspn.CPUDistributedDataParallel'
    cfg.model_wrapper_cfg = wrapper


def end_launch() -> None:
    """Destroy the process group after a run, when no references to the run are left.

    If the process group or the reducer of the wrapped model exists until the interpreter shuts down, torch sometimes
    aborts the process (in 6 of 25 launches with gloo), and the launcher reports a failed run.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.barrier()
        distributed.destroy_process_group()
