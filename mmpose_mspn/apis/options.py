"""The command line of tools/train.py and tools/test.py, which is mmpose's, and its effects on a config."""
import argparse
import os
import os.path as osp
from inspect import signature
from typing import Optional, Tuple

import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from mmpose_mspn.apis.command_line import KeyValues, ToolParser
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.datasets.transforms.load_image import DEFAULT_GB, check_cache_gb
from mmpose_mspn.engine import prepare_launch
from mmpose_mspn.engine.distributed import set_static_graph
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.errors import ConfigError, OutputError, UserError
from mmpose_mspn.utils.files import prepare_output_folder

FUSED_OPTIMIZERS = ('Adam', 'AdamW', 'SGD')
"""Optimizers of torch with a ``fused`` form on CPUs and on GPUs."""
COMPILE_MODES = ('default', 'reduce-overhead', 'max-autotune')
"""Modes of ``torch.compile`` that a training can take."""
BF16_CAPABILITY = (8, 0)
"""Lowest compute capability (Ampere) of GPUs that compute in bf16; torch emulates it on others."""


def run_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that training and testing share."""
    parser = ToolParser(description=description)
    parser.add_argument('config', help="config file, or the name of one of the package's configs")
    parser.add_argument('--work-dir', help='folder for logs and results; default work_dirs/CONFIG')
    parser.add_argument('--data-root', help="folder of the data, replaces the config's data_root")
    parser.add_argument('--show-dir', help='folder for drawings of predictions')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--interval', type=int, default=1, help='draw every N-th sample, >= 1')
    parser.add_argument('--wait-time', type=float, default=1, help='seconds for which each window is shown')
    parser.add_argument(
        '--cfg-options', nargs='+', action=KeyValues, help='key=value pairs to merge into the config; '
        'lists are written key="[a,b]" or key=a,b without spaces')
    parser.add_argument('--cache-images', metavar='FOLDER', help='keep decoded images in this folder on a local disk, '
                        'instead of decoding them for each person')
    parser.add_argument('--cache-gb', type=float, metavar='GB',
                        help=f'GB that --cache-images may take (default: {DEFAULT_GB:g})')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # Launchers write it with an underscore or a hyphen, depending on their version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def run_config(args: argparse.Namespace) -> Config:
    """Load the config of a run, apply the shared arguments, and prepare its processes."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.data_root)
    if args.work_dir is not None and not args.work_dir.strip():
        raise OutputError(f'--work-dir must be a folder, got {args.work_dir!r}: name one, or omit the option')
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    prepare_output_folder('--work-dir', cfg.work_dir)
    cfg.launcher = args.launcher
    if args.show_dir:
        prepare_output_folder('--show-dir', args.show_dir)
    if args.show or args.show_dir:
        if args.interval < 1:
            raise UserError(f'--interval must be >= 1, got {args.interval}')
        cfg.default_hooks.visualization.update(
            enable=True, show=args.show, wait_time=args.wait_time, out_dir=args.show_dir, interval=args.interval)
    if (cfg.get('randomness') or {}).get('deterministic'):
        # torch refuses cuBLAS's operators without this variable, which cuBLAS reads when it starts.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    prepare_launch(cfg)
    return cfg


def use_amp(cfg: Config) -> None:
    """Switch a config to automatic mixed precision: bf16 on a CPU and on GPUs that compute in it, else float16.

    bf16 has the range of float32, so the loss is not scaled. With float16 it is scaled dynamically. What the config
    sets itself (``optim_wrapper.dtype``, ``optim_wrapper.loss_scale``) stays.

    Raises:
        ConfigError: The config has an optimizer wrapper of another type.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f'--amp replaces optim_wrapper.type OptimWrapper, got {kind}')
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        has_bf16 = torch.cuda.get_device_capability() >= BF16_CAPABILITY
        dtype = cfg.optim_wrapper.setdefault('dtype', 'bfloat16' if has_bf16 else 'float16')
        cfg.optim_wrapper.setdefault('loss_scale', 1. if dtype == 'bfloat16' else 'dynamic')
    else:
        cfg.optim_wrapper.type = 'mmpose_mspn.CPUAmpOptimWrapper'


def use_fast_training(cfg: Config) -> None:
    """Change the config to train in less time; results differ by rounding only.

    The weights are laid out channels last, the optimizer is fused into one kernel where torch can,
    DistributedDataParallel uses a static graph, and on a CPU the process keeps freed memory for the next step. On a
    GPU, cuDNN measures which of its algorithms are fastest, unless the run is deterministic, and batches are copied
    from pinned memory.

    Raises:
        ConfigError: The optimizer has no fused form.
    """
    optimizer = cfg.optim_wrapper.optimizer
    if optimizer.type not in FUSED_OPTIMIZERS:
        raise ConfigError(f'--fast fuses {", ".join(FUSED_OPTIMIZERS)}, got optim_wrapper.optimizer.type '
                          f'{optimizer.type}')
    if can_fuse(optimizer.type):
        optimizer.fused = True
    _add_hook(cfg, dict(type='mmpose_mspn.ChannelsLastHook'))
    if torch.cuda.is_available():
        _use_fast_gpu(cfg)
    else:
        _add_hook(cfg, dict(type='mmpose_mspn.FreedMemoryHook', keep=True))
    set_static_graph(cfg)


def can_fuse(optimizer: str) -> bool:
    """Whether this torch has a fused form of the optimizer on the device that trains here."""
    weight = torch.nn.Parameter(torch.zeros(1, device='cuda' if torch.cuda.is_available() else 'cpu'))
    try:
        getattr(torch.optim, optimizer)([weight], lr=1., fused=True)
    except (RuntimeError, TypeError):
        return False
    return True


def _use_fast_gpu(cfg: Config) -> None:
    """The part of :func:`use_fast_training` that needs a GPU."""
    if not (cfg.get('randomness') or {}).get('deterministic'):
        cfg.env_cfg = dict(cfg.get('env_cfg') or {}, cudnn_benchmark=True)
    for split in ('train', 'val'):
        if cfg.get(f'{split}_dataloader'):
            cfg[f'{split}_dataloader'].setdefault('pin_memory', True)


def use_image_cache(cfg: Config, folder: str, gigabytes: Optional[float] = None,
                    splits: Tuple[str, ...] = ('train', 'val')) -> None:
    """Change the config to keep decoded images for the next person or epoch; results are the same.

    Args:
        folder: ``cache_folder`` of :class:`mmpose_mspn.datasets.LoadImage`, an existing folder on a local disk.
        gigabytes: Its ``cache_gb``, of all splits together.
        splits: Of ``'train'``, ``'val'`` and ``'test'`` those whose images are kept. The config may lack some.

    Raises:
        ConfigError: There is no such folder, the number is out of its range, or no step LoadImage, of mmpose or this
            package, loads the images.
    """
    if not osp.isdir(folder):
        raise ConfigError(f'--cache-images {folder} is not a folder: make it on a local disk')
    if gigabytes is not None:
        check_cache_gb('--cache-gb', gigabytes)
    cache = dict(cache_folder=folder, **({} if gigabytes is None else dict(cache_gb=gigabytes)))
    for name in (f'{split}_dataloader' for split in splits):
        if cfg.get(name) and not _keep_images(cfg[name].dataset, cache):
            raise ConfigError(f'--cache-images needs the step LoadImage in {name}.dataset.pipeline, which has none')


def _keep_images(node: object, cache: dict) -> int:
    """Give the arguments ``cache`` to each step LoadImage in nested dicts and lists; the number of these steps."""
    if isinstance(node, dict):
        if type_name(node) == 'LoadImage':
            node.update(type='mmpose_mspn.LoadImage', **cache)
            return 1
        return sum(_keep_images(value, cache) for value in node.values())
    return sum(_keep_images(value, cache) for value in node) if isinstance(node, (list, tuple)) else 0


def use_low_memory(cfg: Config) -> None:
    """Change the config to train in less memory and more time: activations are recomputed, freed memory is returned.

    For freed memory, this option takes precedence over :func:`use_fast_training`.

    Raises:
        ConfigError: Neither the backbone nor the head has the option ``with_cp``.
    """
    parts = [part for part in (cfg.model.backbone, cfg.model.head)
             if 'with_cp' in signature(MODELS.get(part.type)).parameters]
    if not parts:
        raise ConfigError('--low-memory needs a backbone or a head with the option with_cp, got '
                          f'{cfg.model.backbone.type} and {cfg.model.head.type}')
    for part in parts:
        part.with_cp = True
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] != 'mmpose_mspn.FreedMemoryHook']
    _add_hook(cfg, dict(type='mmpose_mspn.FreedMemoryHook', keep=False))


def use_compile(cfg: Config, mode: str) -> None:
    """Change the config to let torch compile the training step, by mmengine's ``compile``.

    Args:
        cfg: The config; changed in place. Its own other settings of ``compile`` stay.
        mode: One of :data:`COMPILE_MODES`, see ``torch.compile``.
    """
    configured = cfg.get('compile')
    cfg.compile = {'backend': 'inductor', **(configured if isinstance(configured, dict) else {}), 'mode': mode}


def use_fast_test(cfg: Config, dtype: str) -> None:
    """Change the config to test an accelerated copy of the model.

    Args:
        dtype: Type in which the copy predicts, as in ``AcceleratedTestHook``.
    """
    _add_hook(cfg, dict(type='mmpose_mspn.AcceleratedTestHook', dtype=dtype))


def use_exported_test(cfg: Config, path: str) -> None:
    """Change the config to test an exported file in place of the model.

    Args:
        path: ``.onnx`` file of :func:`mmpose_mspn.export`.

    Raises:
        FileNotFoundError: It does not exist.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'model {path} does not exist: write it with tools/export.py')
    _add_hook(cfg, dict(type='mmpose_mspn.ExportedTestHook', path=path))


def use_stages(cfg: Config, stages: int) -> None:
    """Make a config test the first stages of its network alone.

    Args:
        stages: 1 ... S; the model refuses others.
    """
    cfg.model.test_cfg = dict(cfg.model.get('test_cfg') or {}, stages=stages)


def _add_hook(cfg: Config, hook: dict) -> None:
    hooks = list(cfg.get('custom_hooks') or [])
    if all(present['type'] != hook['type'] for present in hooks):
        cfg.custom_hooks = [*hooks, hook]
