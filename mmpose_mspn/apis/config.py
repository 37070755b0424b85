"""Loading of configs for the tools."""
import logging
import os
import os.path as osp
import re
import time
from typing import Any, Iterator, List, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.apis.config_keys import NEW_KEY, check_keys
from mmpose_mspn.apis.named_configs import config_path
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.utils.files import FULL

SYNTHETIC_ROOT = 'data/synthetic/'
"""Default ``data_root`` of the configs. The data are generated if they are missing."""
_ANNOTATION = 'annotations/person_keypoints_train2017.json'


def load_config(path: str, cfg_options: Optional[dict] = None, data_root: Optional[str] = None) -> Config:
    """Load a config and optionally replace its ``data_root`` everywhere.

    Args:
        path: Config file, or one of the package's configs by its name: see
            :func:`mmpose_mspn.apis.named_configs.config_path`.
        cfg_options: Values to merge into the config, as from ``--cfg-options``. The key ``data_root`` has the effect of
            the next argument. A key that nothing would read is refused, unless it begins with ``+``.
        data_root: Folder that replaces the config's own ``data_root`` in every dataset and path below it.

    Raises:
        FileNotFoundError: The config does not exist.
        ValueError: The config cannot be read, an option does not fit it, or ``data_root`` is given, but the config has
            none that it could replace.
    """
    if data_root == '':
        raise ValueError('--data-root is empty: name the folder of the data, or omit the option')
    file = str(config_path(path))
    try:
        cfg = Config.fromfile(file)
    except Exception as error:  # a config is code, which may raise anything
        if isinstance(error, OSError) and error.errno in FULL:  # mmengine copies a config before it reads it
            raise
        said = re.sub(r', the current sys\.path is.*', '', str(error), flags=re.S)  # of custom_imports
        raise ValueError(f'config {path} cannot be read: {type(error).__name__}: {said}') from error
    options = dict(cfg_options or {})
    data_root = data_root or options.pop('data_root', None)
    if data_root:
        old = cfg.get('data_root')
        if not isinstance(old, str):
            raise ValueError(f'{path} has no data_root to replace by {data_root}: set that of each dataset')
        replace_root(cfg._cfg_dict, old, data_root)
    check_keys(cfg._cfg_dict, options)
    try:
        cfg.merge_from_dict({key[key.startswith(NEW_KEY):]: value for key, value in options.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f'--cfg-options {" ".join(options)} do not fit {path}: {error}') from error
    return cfg


PATH_KEY = re.compile(r'(^|_)(root|file|files|path|paths|prefix|dir|folder|img|images|checkpoint|load_from)$')
"""Keys of a config whose strings are paths."""
READ_BY_RUNS = re.compile(r'(train|val|test)_(dataloader|evaluator)\b')
"""Parts of a config in which a relative path is one of data."""


def replace_root(config: dict, old: str, new: str) -> None:
    """Replace the folder ``old`` by ``new`` in all paths of nested dicts and lists, in place.

    A path is a string under a key that :data:`PATH_KEY` recognizes, or an entry of a ``data_prefix``. It is compared by
    its parts: ``data/coco2`` does not lie in ``data/coco``. A string that lies in ``old`` under another key is left,
    and a warning names it. If ``old`` is the working directory (an empty string), these are the relative paths of
    loaders and evaluators, except those that a dataset looks up below its own ``data_root``.
    """
    old_parts = _parts(old)
    for node, key, name, has_root in _strings(config):
        value = node[key]
        parts = _parts(value)
        if value.startswith('/') != old.startswith('/') or parts[:len(old_parts)] != old_parts:
            continue
        is_root = key == 'data_root'
        if not old_parts and not (is_root and not parts) and (has_root or is_root or not READ_BY_RUNS.match(name)):
            continue
        if not any(PATH_KEY.search(part) for part in name.split('.')[-1:] + name.split('.')[-2:-1]):
            if parts != old_parts:
                print_log(f'{name} = {value!r} lies in the replaced data_root, but its key does not name a path: it is '
                          'left as it is', 'current', logging.WARNING)
            continue
        is_folder = is_root or value.endswith('/')
        node[key] = osp.join(new, *parts[len(old_parts):], *[''] * is_folder)


def _parts(path: str) -> List[str]:
    return [part for part in path.split('/') if part not in ('', '.')]


Found = Tuple[Union[dict, list], Any, str, bool]


def _strings(node: object, name: str = '', has_root: bool = False) -> Iterator[Found]:
    """All strings of nested dicts and lists: container, key, dotted name, whether a part around it has a data_root."""
    if isinstance(node, dict):
        has_root = has_root or bool(name) and 'data_root' in node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        here = f'{name}.{key}' if name else str(key)
        if isinstance(value, str):
            yield node, key, here, has_root
        else:
            yield from _strings(value, here, has_root)


COCO_ROOT = 'data/coco/'


def check_data_root(cfg: Config, chosen: bool) -> None:
    """Refuse to use the drawn people, which are the default of the configs for COCO, where COCO lies in place.

    Args:
        cfg: The config.
        chosen: Whether the user named the folder of the data.

    Raises:
        ValueError: The user did not, and ``data/coco`` holds COCO's annotations.
    """
    if not chosen and cfg.get('data_root') == SYNTHETIC_ROOT and osp.exists(osp.join(COCO_ROOT, _ANNOTATION)):
        raise ValueError(f'{COCO_ROOT} holds COCO, but the config uses the drawn people of {SYNTHETIC_ROOT} unless the '
                         f'data are named: choose with --data-root {COCO_ROOT} or --data-root {SYNTHETIC_ROOT}')


def ensure_synthetic(cfg: Config, **sizes) -> None:
    """Generate the synthetic people if the config uses their default folder and they are not there.

    If several processes run on a machine, the first one generates them and the others wait.

    Args:
        cfg: The config.
        sizes: Arguments of :func:`mmpose_mspn.synthetic_people.generate`.
    """
    if cfg.get('data_root') != SYNTHETIC_ROOT:
        return
    if int(os.environ.get('RANK', 0)) == 0:
        print_log(f'the data are drawn people ({SYNTHETIC_ROOT}), not photographs: results on them say nothing about '
                  'COCO; --data-root names real data', 'current', logging.WARNING)
    if osp.exists(osp.join(SYNTHETIC_ROOT, _ANNOTATION)):
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
