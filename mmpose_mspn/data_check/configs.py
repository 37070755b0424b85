"""A check of the datasets that a config names."""
import os.path as osp
from typing import Dict, Iterable, List, Optional

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.data_check.dataset_files import BOX_OPTIONS, DatasetFiles, check_files
from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.evaluation_rules import Evaluation
from mmpose_mspn.datasets.file_checks import below_root
from mmpose_mspn.datasets.metainfo_rules import wrong_metainfo
from mmpose_mspn.utils.config_types import inner_datasets, type_name

COCO_METRICS = ('CocoMetric', 'CocoWholeBodyMetric')


def check_config(cfg: Config, report: Report, **options) -> None:
    """Check the datasets with which a config trains, validates and tests, each file once.

    A dataset whose type is not one of :data:`BOX_OPTIONS` is reported as a problem, because the format of its files is
    not known.

    Args:
        cfg: The config.
        report: Collects the problems.
        options: See :func:`mmpose_mspn.data_check.dataset_files.check_files`.

    Raises:
        ValueError: The config names no dataset.
    """
    splits = ('train', 'val', 'test')
    datasets = [(dataset.config, split) for split in splits
                for dataset in inner_datasets((cfg.get(f'{split}_dataloader') or {}).get('dataset'),
                                              f'{split}_dataloader.dataset')]
    if not datasets:
        loaders = ', '.join(f'{split}_dataloader' for split in splits)
        raise ValueError(f'the config names no dataset to check: it needs a dataset in one of {loaders}')
    known, unknown = [], []
    for dataset, split in datasets:
        if type_name(dataset) not in BOX_OPTIONS:
            unknown.append(f'{dataset.get("type")}: {_ann_file(dataset)}')
            continue
        try:
            known.append(_files(dataset)._replace(evaluation=_evaluation(cfg, split)))
        except Exception as error:  # mmpose raises errors of many types on a faulty metainfo
            report.add('metainfo that does not load', f'{dataset["type"]}: {type(error).__name__}: {error}')
    for files in _without_repetition(known):
        check_files(files, report, **options)
    for example in dict.fromkeys(unknown):
        report.add('dataset that is not checked', example)


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
        raise ValueError(wrong)
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
