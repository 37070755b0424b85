"""From a COCO annotation file to a folder that tools/train.py trains from."""
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Tuple

import torch

from mmpose_mspn.new_dataset.coco_body import official_upper_ids
from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.config_file import ConfigFacts, base_text, config_text
from mmpose_mspn.new_dataset.metainfo import build_metainfo, metainfo_text
from mmpose_mspn.new_dataset.objects import VAL_SHARE, Source, hold_out, read_objects, refuse_shared_images
from mmpose_mspn.new_dataset.pairs import ChosenPairs, choose_pairs
from mmpose_mspn.new_dataset.plan import Plan, choose_aspect, choose_network, make_plan
from mmpose_mspn.new_dataset.repair import RepairedFile
from mmpose_mspn.new_dataset.sigmas import Sigmas, choose_sigmas
from mmpose_mspn.new_dataset.start import Start, find_start
from mmpose_mspn.utils.files import FilePath, write_atomically, write_json
from mmpose_mspn.utils.numbers import VISIBLE

CONFIG = 'config.py'
HALF = 3
"""``mmpose_mspn.HalfBody`` cuts to a half with more labeled keypoints than this."""


@dataclass(frozen=True)
class Options:
    """What the user asks for: the arguments of tools/new_dataset.py."""
    train_file: FilePath
    images: FilePath
    out: FilePath
    val: Optional[FilePath] = None
    val_images: Optional[FilePath] = None
    val_share: Optional[float] = None
    category: Optional[str] = None
    pairs: Optional[Sequence[str]] = None
    sigmas: Optional[Sequence[str]] = None
    network: Optional[str] = None
    init_from: Optional[FilePath] = None
    keypoint_map: Optional[Sequence[str]] = None
    source_names: Optional[Sequence[str]] = None
    skip_broken: bool = False
    force: bool = False


class NewDataset(NamedTuple):
    """What was read and decided.

    Attributes:
        options: What was asked for.
        category: Names and skeleton.
        train: Objects to train on.
        val: Objects to validate on.
        pairs: Flip pairs.
        sigmas: Sigmas of the keypoints.
        upper_ids: Indices of the upper keypoints, or ``None`` without half-body crops.
        visibility: The loss's rule of visibility.
        median_aspect: Median of width / height of the boxes.
        plan: Network, crops, schedule and augmentation.
        start: The checkpoint that training starts from, if any.
        config: The config that is written.
    """
    options: Options
    category: Category
    train: RepairedFile
    val: RepairedFile
    pairs: ChosenPairs
    sigmas: Sigmas
    upper_ids: Optional[Tuple[int, ...]]
    visibility: str
    median_aspect: float
    plan: Plan
    start: Optional[Start]
    config: Path


def create(options: Options) -> NewDataset:
    """Write ``config.py``, ``base.py``, ``metainfo.py``, ``train.json`` and ``val.json`` into a folder.

    Raises:
        FileExistsError: The folder has a config and ``force`` is not set.
        FileNotFoundError: A file or folder does not exist.
        ValueError: An option or a file is not usable.
    """
    dataset = plan_dataset(options)
    _write(dataset)
    return dataset


def plan_dataset(options: Options) -> NewDataset:
    """Read the files and decide everything, without writing. It raises what :func:`create` raises."""
    _check_combinations(options)
    config = Path(options.out).resolve() / CONFIG
    if config.exists() and not options.force:
        raise FileExistsError(f'{config} exists: choose another folder, or overwrite it with --force')
    val_source = Source(options.val, options.val_images or options.images) if options.val else None
    category, train, val = read_objects(
        Source(options.train_file, options.images), val_source, options.category, options.skip_broken)
    if val is None:
        share = VAL_SHARE if options.val_share is None else options.val_share
        train, val = hold_out(train, share, options.train_file)
    else:
        refuse_shared_images(train, val, Source(options.train_file, options.images), val_source)
    names = category.keypoints
    start = None
    if options.init_from:
        start = find_start(options.init_from, names, options.keypoint_map, options.source_names)
    objects = len(train.objects)
    aspect, median_aspect = choose_aspect([entry['bbox'] for entry in train.objects])
    network = start.network if start else options.network or choose_network(objects, torch.cuda.is_available())
    return NewDataset(
        options, category, train, val, choose_pairs(names, options.pairs), choose_sigmas(names, options.sigmas),
        _upper_ids(names), _visibility(train), median_aspect,
        make_plan(objects, len(names), aspect, network, start.backbone if start else None), start, config)


def _check_combinations(options: Options) -> None:
    if options.val_images and not options.val:
        raise ValueError('--val-images is the folder of the images in --val: name that file too')
    if options.val and options.val_share is not None:
        raise ValueError(f'--val {options.val} and --val-share {options.val_share:g} exclude each other: images are '
                         'held out only where no file for validation is named')
    if options.val and Path(options.val).resolve() == Path(options.train_file).resolve():
        raise ValueError(f'--val {options.val} is the file to train on, and a validation on it would tell nothing: '
                         'name a file of other images, or omit --val to hold images out')
    if options.init_from and options.network:
        raise ValueError(f'--network {options.network} and --init-from exclude each other: the network is that of the '
                         'checkpoint')
    for option, value in (('--map', options.keypoint_map), ('--source-names', options.source_names)):
        if value and not options.init_from:
            raise ValueError(f'{option} is about the keypoints of a checkpoint: name it with --init-from')


def _upper_ids(names: Sequence[str]) -> Optional[Tuple[int, ...]]:
    """Indices of the upper keypoints; ``None`` if a half is unknown, or too small for crops of its own."""
    upper = official_upper_ids(names)
    return upper if upper is not None and min(len(upper), len(names) - len(upper)) > HALF else None


def _visibility(train: RepairedFile) -> str:
    """The loss's rule of visibility. A file without any 2 does not tell visible keypoints from occluded ones."""
    return 'official' if any(VISIBLE in entry['keypoints'][2::3] for entry in train.objects) else 'labeled'


def best_metric(sigmas: Sigmas) -> str:
    """The metric that chooses the best checkpoint: AP unless it depends on sigmas that were assumed."""
    return 'PCK' if sigmas.assumed else 'coco/AP'


def _write(dataset: NewDataset) -> None:
    options, category, start, out = dataset.options, dataset.category, dataset.start, dataset.config.parent
    facts = ConfigFacts(
        title=f'{" ".join(category.name.split())}: {len(category.keypoints)} keypoints, {len(dataset.train.objects)} '
        'objects to train on. Written by tools/new_dataset.py.',
        category=dict(name=category.name, id=category.written_id),
        plan=dataset.plan,
        out=out,
        train_images=Path(options.images).resolve(),
        val_images=Path(options.val_images or options.images).resolve(),
        keypoints=len(category.keypoints),
        has_pairs=dataset.pairs.can_flip,
        upper_ids=dataset.upper_ids,
        visibility=dataset.visibility,
        save_best=best_metric(dataset.sigmas),
        load_from=start.path if start else None,
        keypoint_map=start.keypoint_map if start else None,
        source_names=options.source_names)
    metainfo = build_metainfo(category, dataset.pairs.pairs, dataset.sigmas.values)
    for name, part in (('train', dataset.train), ('val', dataset.val)):
        write_json(out / f'{name}.json', dict(
            images=part.images, annotations=part.annotations, categories=[_written(category)]))
    for name, text in (('metainfo.py', metainfo_text(metainfo)), ('base.py', base_text()),
                       (CONFIG, config_text(facts))):
        write_atomically(out / name, text.encode())


def _written(category: Category) -> dict:
    """The category's entry in the annotation files, where the links of a skeleton count from 1."""
    return dict(id=category.written_id, name=category.name, keypoints=list(category.keypoints),
                skeleton=[[first + 1, second + 1] for first, second in category.skeleton])
