"""A check of the datasets that a config names, and of the metainfo of a dataset."""
import os.path as osp
from typing import Dict, Iterable, List, Mapping, Optional

import numpy as np
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.data_check.coco import Evaluation
from mmpose_mspn.data_check.files import BOX_OPTIONS, DatasetFiles, check_files
from mmpose_mspn.data_check.problems import Check, Problem
from mmpose_mspn.utils.config_types import inner_datasets, type_name
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.files import below_root

COCO_METRICS = ('CocoMetric', 'CocoWholeBodyMetric')


def check_config(cfg: Config, **options) -> Check[None]:
    """Check the datasets with which a config trains, validates and tests, each file once.

    A dataset whose type is not one of :data:`BOX_OPTIONS` is reported as a problem, because the format of its files is
    not known.

    Args:
        options: See :func:`mmpose_mspn.data_check.files.check_files`.

    Raises:
        ConfigError: The config names no dataset.
    """
    splits = ('train', 'val', 'test')
    datasets = [(dataset.config, split) for split in splits
                for dataset in inner_datasets((cfg.get(f'{split}_dataloader') or {}).get('dataset'),
                                              f'{split}_dataloader.dataset')]
    if not datasets:
        loaders = ', '.join(f'{split}_dataloader' for split in splits)
        raise ConfigError(f'the config names no dataset to check: it needs a dataset in one of {loaders}')
    known, unknown = [], []
    for dataset, split in datasets:
        if type_name(dataset) not in BOX_OPTIONS:
            unknown.append(f'{dataset.get("type")}: {_ann_file(dataset)}')
            continue
        try:
            known.append(_files(dataset)._replace(evaluation=_evaluation(cfg, split)))
        except Exception as error:  # mmpose raises errors of many types on a faulty metainfo
            yield Problem('metainfo that does not load', f'{dataset["type"]}: {type(error).__name__}: {error}')
    for files in _without_repetition(known):
        yield from check_files(files, **options)
    for example in dict.fromkeys(unknown):
        yield Problem('dataset that is not checked', example)


def wrong_metainfo(meta: Mapping) -> Optional[str]:
    """Say what is wrong with a metainfo that mmpose has parsed.

    Args:
        meta: Result of mmpose's ``parse_pose_metainfo``.

    Returns:
        A sentence; ``None`` if nothing is wrong.
    """
    names, swaps = meta['keypoint_id2name'], meta['flip_indices']
    for index, swapped in enumerate(swaps):
        if swaps[swapped] != index:
            return (f'keypoint {names[index]!r} swaps with {names[swapped]!r}, but that one with '
                    f'{names[swaps[swapped]]!r}: a flip must swap both with each other')
    for field, lowest in (('sigmas', 'above 0'), ('dataset_keypoint_weights', '0 or more')):
        values = np.asarray(meta[field], float)
        right = np.isfinite(values) & ((values > 0) if field == 'sigmas' else (values >= 0))
        called = 'joint_weights' if field == 'dataset_keypoint_weights' else field
        if values.shape != (len(names), ):
            return f'{called} must be {len(names)} numbers, one for each keypoint, got {values.size}'
        if not right.all():
            index = int(np.argmin(right))
            return f'{called} must be finite and {lowest}, got {values[index]} for {names[index]!r}'
    return None


def _evaluation(cfg: Config, split: str) -> Optional[Evaluation]:
    """What the COCO metric of a split reads, if it has one that compares with the annotations."""
    metrics = (cfg.get(f'{split}_evaluator') or []) if split != 'train' else []
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        if type_name(metric) in COCO_METRICS and not metric.get('format_only') and not metric.get('ann_file'):
            return Evaluation(metric.get('use_area', True), metric.get('iou_type') == 'keypoints_crowd')
    return None


def _ann_file(dataset: dict) -> str:
    return osp.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')


def _files(dataset: dict) -> DatasetFiles:
    """The files that a dataset of a config reads."""
    root = dataset.get('data_root') or ''
    image_dir = osp.join(root, (dataset.get('data_prefix') or {}).get('img') or '')
    boxes = dataset.get(BOX_OPTIONS[type_name(dataset)])
    if boxes and 'mmpose_mspn' in str(dataset['type']):  # the stock datasets take the path without data_root
        boxes = below_root(boxes, root)
    return DatasetFiles(
        type_name(dataset), _ann_file(dataset), image_dir, (boxes, ) if boxes else (), _num_keypoints(dataset))


def _num_keypoints(dataset: dict) -> Optional[int]:
    """Number of keypoints of the dataset's own ``metainfo``, if it has one."""
    metainfo = dataset.get('metainfo') or {}
    if not metainfo:
        return None
    parsed = parse_pose_metainfo(metainfo)
    wrong = wrong_metainfo(parsed)
    if wrong:
        raise ConfigError(wrong)
    return parsed['num_keypoints']


def _without_repetition(files: Iterable[DatasetFiles]) -> List[DatasetFiles]:
    """Each annotation file once, with all boxes that are read with it."""
    merged: Dict[tuple, DatasetFiles] = {}
    for entry in files:
        key = (entry.dataset_type, osp.realpath(entry.ann_file), osp.realpath(entry.image_dir), entry.num_keypoints)
        first = merged.setdefault(key, entry)
        merged[key] = first._replace(boxes=tuple(dict.fromkeys(first.boxes + entry.boxes)),
                                     evaluation=first.evaluation or entry.evaluation)
    return list(merged.values())
