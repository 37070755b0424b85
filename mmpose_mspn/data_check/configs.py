"""A check of the datasets that a config names."""
import os.path as osp
from typing import Dict, Iterable, Iterator, List, Optional

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.data_check.dataset_files import BOX_OPTIONS, DatasetFiles, check_files
from mmpose_mspn.data_check.report import Report


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
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    datasets = [dataset for loader in loaders for dataset in _single_datasets((cfg.get(loader) or {}).get('dataset'))]
    if not datasets:
        raise ValueError(f'the config names no dataset to check: it needs a dataset in one of {", ".join(loaders)}')
    known = [dataset for dataset in datasets if _dataset_type(dataset) in BOX_OPTIONS]
    for files in _without_repetition(map(_files, known)):
        check_files(files, report, **options)
    unknown = [f'{dataset["type"]}: {_files(dataset).ann_file}' for dataset in datasets if dataset not in known]
    for example in dict.fromkeys(unknown):
        report.add('dataset that is not checked', example)


def _single_datasets(dataset: Optional[dict]) -> Iterator[dict]:
    """The datasets that a config's entry consists of: itself, or those that it repeats or combines."""
    if not dataset:
        return
    inner = [dataset.get('dataset'), *dataset.get('datasets', [])]
    if not any(inner):
        yield dataset
    for part in inner:
        yield from _single_datasets(part)


def _dataset_type(dataset: dict) -> str:
    """The type without its scope."""
    return dataset['type'].split('.')[-1]


def _files(dataset: dict) -> DatasetFiles:
    """The files that a dataset of a config reads."""
    root = dataset.get('data_root') or ''
    ann_file = osp.join(root, dataset.get('ann_file') or '')
    image_dir = osp.join(root, (dataset.get('data_prefix') or {}).get('img') or '')
    boxes = dataset.get(BOX_OPTIONS.get(_dataset_type(dataset), 'bbox_file'))
    if boxes and dataset['type'].startswith('mmpose_mspn.'):  # the stock datasets take the path without data_root
        boxes = osp.join(root, boxes)
    return DatasetFiles(
        _dataset_type(dataset), ann_file, image_dir, (boxes, ) if boxes else (), _num_keypoints(dataset))


def _num_keypoints(dataset: dict) -> Optional[int]:
    """Number of keypoints of the dataset's own ``metainfo``, if it has one."""
    metainfo = dataset.get('metainfo') or {}
    if 'from_file' not in metainfo and 'keypoint_info' not in metainfo:
        return None
    return parse_pose_metainfo(metainfo)['num_keypoints']


def _without_repetition(files: Iterable[DatasetFiles]) -> List[DatasetFiles]:
    """Each annotation file once, with all boxes that are read with it."""
    merged: Dict[tuple, DatasetFiles] = {}
    for entry in files:
        key = (entry.dataset_type, osp.realpath(entry.ann_file), osp.realpath(entry.image_dir), entry.num_keypoints)
        first = merged.setdefault(key, entry)
        merged[key] = first._replace(boxes=tuple(dict.fromkeys(first.boxes + entry.boxes)))
    return list(merged.values())
