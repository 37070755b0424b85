"""Configs as the tools load them."""
import os
import os.path as osp
import time
from typing import Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.synthetic_people import generate

SYNTHETIC_ROOT = 'data/synthetic/'
"""Default ``data_root`` of the configs: made where it is missing."""
_ANNOTATION = 'annotations/person_keypoints_train2017.json'


def load_config(path: str, cfg_options: Optional[dict] = None, data_root: Optional[str] = None) -> Config:
    """Load a config, its ``data_root`` changed everywhere if asked.

    Args:
        path: Config file.
        cfg_options: Values to merge, as ``--cfg-options`` gives them; ``data_root`` among them is the next argument.
        data_root: Takes the place of the config's own ``data_root`` in every dataset and path below it.

    Raises:
        FileNotFoundError: No such config.
        ValueError: ``data_root`` was given, but the config has none to replace.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'config {path} does not exist')
    cfg = Config.fromfile(path)
    options = dict(cfg_options or {})
    data_root = data_root or options.pop('data_root', None)
    if data_root:
        old = cfg.get('data_root')
        if old is None:
            raise ValueError(f'{path} has no data_root to replace by {data_root}: set each dataset\'s own')
        _replace(cfg._cfg_dict, old, osp.join(data_root, ''))
    cfg.merge_from_dict(options)
    return cfg


def _replace(node: object, old: str, new: str) -> None:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        if isinstance(value, str) and value.startswith(old):
            node[key] = new + value[len(old):]
        else:
            _replace(value, old, new)


def ensure_synthetic(cfg: Config, **sizes) -> None:
    """Make the synthetic people, if the config asks for their default folder and it is empty.

    Of several processes on a machine the first makes them and the others wait.
    """
    if cfg.get('data_root') != SYNTHETIC_ROOT or osp.exists(osp.join(SYNTHETIC_ROOT, _ANNOTATION)):
        return
    if int(os.environ.get('LOCAL_RANK', 0)) == 0:
        print_log(f'making synthetic people in {SYNTHETIC_ROOT}; --data-root chooses real COCO', 'current')
        generate(SYNTHETIC_ROOT, **sizes)
    while not osp.exists(osp.join(SYNTHETIC_ROOT, _ANNOTATION)):
        time.sleep(1)
