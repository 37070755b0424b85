"""Checks of the data of a run: that a validation measures what it is meant to measure.

What some experiments intend is logged as a warning and not refused.
"""
import logging
import os.path as osp
from typing import Iterator, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.utils.config_types import type_name

RANDOM_STEPS = ('HalfBody', 'Albumentation', 'PhotometricDistortion', 'Mosaic')
"""Steps that change a sample by chance and whose names do not begin with ``Random``."""


def warn_of_data(cfg: Config, splits: Tuple[str, ...]) -> None:
    """Log a validation on the people of the training, and random steps in the pipeline of a test.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'`` those that are run.
    """
    if 'train' in splits and 'val' in splits:
        trained = _ann_file(cfg, 'train')
        if trained is not None and trained == _ann_file(cfg, 'val'):
            _warn(f'val_dataloader and train_dataloader have the same ann_file, {trained}: the validation measures '
                  'people that the model was trained on')
    for split in splits:
        steps = [name for name in _steps(_dataset(cfg, split)) if name.startswith('Random') or name in RANDOM_STEPS]
        if split != 'train' and steps:
            _warn(f'{split}_dataloader.dataset.pipeline changes samples by chance ({", ".join(steps)}), so the metrics '
                  'are not those of the annotated people: take the pipeline of a test')


def _warn(text: str) -> None:
    print_log(text, 'current', logging.WARNING)


def _dataset(cfg: Config, split: str) -> dict:
    dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
    return dataset if isinstance(dataset, dict) else {}


def _ann_file(cfg: Config, split: str) -> Optional[str]:
    """The annotation file of a split, below its ``data_root``."""
    dataset = _dataset(cfg, split)
    file = dataset.get('ann_file')
    return osp.normpath(osp.join(dataset.get('data_root') or '', file)) if isinstance(file, str) and file else None


def _steps(dataset: dict) -> Iterator[str]:
    """Names of the classes of a pipeline's steps, without scopes."""
    for step in dataset.get('pipeline') or ():
        yield type_name(step) if isinstance(step, dict) else ''
