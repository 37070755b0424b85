"""Which files a data check reads: those of a folder in a known layout, or those that a config names."""
import os.path as osp
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from mmengine.config import Config

from mmpose_mspn.data_check.people import IMAGE_FIELDS, KEYPOINTS, check_coco, check_mpii
from mmpose_mspn.data_check.report import Report


class Files(NamedTuple):
    """The files of a dataset."""
    kind: str  # its type, without the package
    ann_file: str
    image_dir: str
    boxes: Tuple[str, ...] = ()  # of a detector; MPII: head boxes


class Layout(NamedTuple):
    """A folder in which the configs expect datasets."""
    title: str
    data_sets: List[Files]


COCO_BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
AIC_IMAGES = 'ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902'
LAYOUTS: Dict[str, Layout] = dict(
    coco=Layout('COCO 2017', [
        Files('CocoDataset', 'annotations/person_keypoints_train2017.json', 'train2017'),
        Files('CocoDataset', 'annotations/person_keypoints_val2017.json', 'val2017', (COCO_BOXES, )),
    ]),
    wholebody=Layout('COCO 2017 with COCO-WholeBody', [
        Files('CocoWholeBodyDataset', 'annotations/coco_wholebody_train_v1.0.json', 'train2017'),
        Files('CocoWholeBodyDataset', 'annotations/coco_wholebody_val_v1.0.json', 'val2017', (COCO_BOXES, )),
    ]),
    aic=Layout('AI Challenger', [Files('AicDataset', 'annotations/aic_train.json', AIC_IMAGES)]),
    crowdpose=Layout('CrowdPose', [
        Files('CrowdPoseDataset', 'annotations/mmpose_crowdpose_trainval.json', 'images'),
        Files('CrowdPoseDataset', 'annotations/mmpose_crowdpose_test.json', 'images',
              ('annotations/det_for_crowd_test_0.1_0.5.json', )),
    ]),
    mpii=Layout('MPII', [
        Files('MpiiDataset', 'annotations/mpii_train.json', 'images'),
        Files('MpiiDataset', 'annotations/mpii_val.json', 'images', ('annotations/mpii_gt_val.mat', )),
    ]))
"""Where the configs look for each dataset, below ``data_root``; docs/data.md draws it."""

BOX_FILES = dict(dict.fromkeys(KEYPOINTS, 'bbox_file'), MpiiDataset='headbox_file')
"""By the type of the dataset: the option that names its boxes."""


def check_folder(layout: str, folder: str, report: Report, **options) -> None:
    """Check the datasets of a folder.

    Args:
        layout: One of :data:`LAYOUTS`.
        folder: The folder.
        report: Takes note of the problems.
        options: ``decode`` and ``progress`` of :func:`mmpose_mspn.data_check.report.image_sizes`.
    """
    for kind, ann_file, image_dir, boxes in LAYOUTS[layout].data_sets:
        paths = [osp.join(folder, path) for path in (ann_file, image_dir, *boxes)]
        _check(Files(kind, *paths[:2], tuple(paths[2:])), report, **options)


def check_config(cfg: Config, report: Report, **options) -> None:
    """Check the datasets that a config trains, validates and tests with, each file once.

    One of a type that is not among :data:`BOX_FILES` is a problem in the report, since nothing is known of its files.

    Raises:
        ValueError: It names no dataset.
    """
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    leaves = [leaf for loader in loaders for leaf in _leaves((cfg.get(loader) or {}).get('dataset'))]
    if not leaves:
        raise ValueError(f'the config names no dataset to check: it needs a dataset in one of {", ".join(loaders)}')
    known = [leaf for leaf in leaves if _kind(leaf) in BOX_FILES]
    for files in _merged(map(_files, known)):
        _check(files, report, **options)
    unknown = [f'{leaf["type"]}: {_files(leaf).ann_file}' for leaf in leaves if _kind(leaf) not in BOX_FILES]
    for example in dict.fromkeys(unknown):
        report.add('dataset that is not checked', example)


def _check(files: Files, report: Report, **options) -> None:
    if files.kind in KEYPOINTS:
        check_coco(*files[1:3], report, files.boxes, KEYPOINTS[files.kind],
                   IMAGE_FIELDS.get(files.kind, ()), **options)
    else:
        check_mpii(*files[1:3], report, files.boxes, **options)


def _leaves(data: Optional[dict]) -> Iterator[dict]:
    """The datasets that a config's entry consists of: itself, or what it repeats or combines."""
    if not data:
        return
    inner = [data.get('dataset'), *data.get('datasets', [])]
    if not any(inner):
        yield data
    for part in inner:
        yield from _leaves(part)


def _kind(data: dict) -> str:
    return data['type'].split('.')[-1]


def _files(data: dict) -> Files:
    """The files that a dataset of a config reads."""
    root = data.get('data_root') or ''
    paths = [osp.join(root, path or '') for path in (data.get('ann_file'), (data.get('data_prefix') or {}).get('img'))]
    boxes = data.get(BOX_FILES.get(_kind(data), 'bbox_file'))
    if boxes and data['type'].startswith('mmpose_mspn.'):  # the stock datasets do not look below data_root for it
        boxes = osp.join(root, boxes)
    return Files(_kind(data), *paths, (boxes, ) if boxes else ())


def _merged(data_sets: Iterator[Files]) -> List[Files]:
    """Each annotation file once, with all boxes that are read with it."""
    merged: Dict[tuple, Files] = {}
    for files in data_sets:
        key = (files.kind, osp.realpath(files.ann_file), osp.realpath(files.image_dir))
        first = merged.setdefault(key, files)
        merged[key] = first._replace(boxes=tuple(dict.fromkeys(first.boxes + files.boxes)))
    return list(merged.values())
