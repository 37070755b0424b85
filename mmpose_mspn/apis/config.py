"""Loading of configs for the tools."""
import os
import os.path as osp
import time
from typing import Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.synthetic_people import generate

SYNTHETIC_ROOT = 'data/synthetic/'
"""Default ``data_root`` of the configs. The data are generated if they are missing."""
_ANNOTATION = 'annotations/person_keypoints_train2017.json'


def load_config(path: str, cfg_options: Optional[dict] = None, data_root: Optional[str] = None) -> Config:
    """Load a config and optionally replace its ``data_root`` everywhere.

    Args:
        path: Config file.
        cfg_options: Values to merge into the config, as from ``--cfg-options``. The key ``data_root`` has the effect of
            the next argument.
        data_root: Folder that replaces the config's own ``data_root`` in every dataset and path below it.

    Raises:
        FileNotFoundError: The config does not exist.
        ValueError: ``data_root`` is given, but the config has none that it could replace.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'config {path} does not exist')
    cfg = Config.fromfile(path)
    options = dict(cfg_options or {})
    data_root = data_root or options.pop('data_root', None)
    if data_root:
        old = cfg.get('data_root')
        if old is None:
            raise ValueError(f'{path} has no data_root to replace by {data_root}: set that of each dataset')
        _replace(cfg._cfg_dict, old, osp.join(data_root, ''))
    cfg.merge_from_dict(options)
    return cfg


def _replace(node: object, old: str, new: str) -> None:
    """Replace the prefix ``old`` of all strings in nested dicts and lists by ``new``, in place."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        if isinstance(value, str) and value.startswith(old):
            node[key] = new + value[len(old):]
        else:
            _replace(value, old, new)


def ensure_synthetic(cfg: Config, **sizes) -> None:
    """Generate the synthetic people if the config uses their default folder and they are not there.

    If several processes run on a machine, the first one generates them and the others wait.

    Args:
        cfg: The config.
        sizes: Arguments of :func:`mmpose_mspn.synthetic_people.generate`.
    """
    if cfg.get('data_root') != SYNTHETIC_ROOT or osp.exists(osp.join(SYNTHETIC_ROOT, _ANNOTATION)):
        return
    if _local_rank(cfg) == 0:
        print_log(f'generating synthetic people in {SYNTHETIC_ROOT}; use --data-root for real data', 'current')
        generate(SYNTHETIC_ROOT, **sizes)
    while not osp.exists(osp.join(SYNTHETIC_ROOT, _ANNOTATION)):
        time.sleep(1)


def _local_rank(cfg: Config) -> int:
    """Number of this process among those on its machine, which each launcher writes elsewhere."""
    names = dict(slurm='SLURM_LOCALID', mpi='OMPI_COMM_WORLD_LOCAL_RANK')
    return int(os.environ.get(names.get(cfg.get('launcher', 'none'), 'LOCAL_RANK'), 0))
