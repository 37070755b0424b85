"""How distributed runs begin and end, also on machines without a GPU, which mmengine's launcher takes for granted."""
import gc
import os

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from mmpose_mspn.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper for a model on the CPU: there is no device to name."""

    def __init__(self, module: nn.Module, device_ids: object = None, **kwargs) -> None:
        super().__init__(module, device_ids=None, **kwargs)


def prepare_launch(cfg: Config) -> None:
    """Make a config with ``launcher`` ready for this machine.

    With a GPU nothing is needed. Without one, the process group is opened here with gloo, before mmengine would ask
    CUDA for a device, and the model is wrapped without device ids.

    Raises:
        RuntimeError: A launcher was asked for, but its environment variables are missing.
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
    """Leave the process group, after a run to which nothing refers any more.

    torch ends a process with an abort now and then if its model's reducer or its process group lives on until the
    interpreter is torn down (6 of 25 launches with gloo), and the launcher takes that for a failed run.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.barrier()
        distributed.destroy_process_group()
