"""What tools/new_dataset.py reads and decides: objects, pairs, sigmas, network, and the checkpoint to start from."""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from mmpose_mspn.checkpoints.convert import convert, is_rsn, recognize, weights_of
from mmpose_mspn.checkpoints.infer_backbone import infer_backbone
from mmpose_mspn.checkpoints.published import checkpoint_file
from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.checkpoints.transfer_keypoints import Origin, find_origins, source_names
from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.metainfo import Sigmas, choose_sigmas, official_upper_ids
from mmpose_mspn.new_dataset.names import ChosenPairs, choose_pairs, parse_map, words_of
from mmpose_mspn.new_dataset.objects import VAL_SHARE, Source, hold_out, read_objects, refuse_shared_images
from mmpose_mspn.new_dataset.plan import Plan, choose_aspect, choose_network, make_plan
from mmpose_mspn.new_dataset.repair import RepairedFile
from mmpose_mspn.utils.errors import CheckpointError, UserError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import VISIBLE
from mmpose_mspn.utils.outputs import check_outputs, refuse_empty

CONFIG = 'config.py'
FILES = ('train.json', 'val.json', 'metainfo.py', 'base.py', CONFIG)
"""What is written."""
KIND = 'new_dataset'
HALF = 3
"""``mmpose_mspn.HalfBody`` cuts to a half with more labeled keypoints than this."""
NARROW = 64
"""A network whose stem has fewer channels gets the crops of the small network."""
DEEP = 50
"""Depth of a ResNet from which a network counts as large."""


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


class Start(NamedTuple):
    """The weights that a training starts from.

    Attributes:
        path: The checkpoint, absolute.
        backbone: Config of its backbone.
        network: Key of :data:`mmpose_mspn.new_dataset.plan.NETWORKS` whose crops and batch it gets.
        origins: Where each keypoint starts.
        keypoint_map: By keypoint of the dataset: the keypoint of the checkpoint, where their names differ.
    """
    path: Path
    backbone: dict
    network: str
    origins: List[Origin]
    keypoint_map: Dict[str, str]


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


def plan_dataset(options: Options) -> NewDataset:
    """Read the files and decide everything, without writing. It raises what
    :func:`mmpose_mspn.new_dataset.create` raises."""
    _check_combinations(options)
    refuse_empty('--out', options.out)
    config = Path(options.out).resolve() / CONFIG
    sources = [path for path in (options.train_file, options.val, options.init_from) if path]
    check_outputs('--out', [config.with_name(name) for name in FILES], KIND, sources)
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
    # A file without any 2 does not tell visible keypoints from occluded ones.
    visibility = 'official' if any(VISIBLE in entry['keypoints'][2::3] for entry in train.objects) else 'labeled'
    return NewDataset(
        options, category, train, val, choose_pairs(names, options.pairs), choose_sigmas(names, options.sigmas),
        _upper_ids(names), visibility, median_aspect,
        make_plan(objects, len(names), aspect, network, start.backbone if start else None), start, config)


def _check_combinations(options: Options) -> None:
    if options.val_images and not options.val:
        raise UserError('--val-images is the folder of the images in --val: name that file too')
    if options.val and options.val_share is not None:
        raise UserError(f'--val {options.val} and --val-share {options.val_share:g} exclude each other: images are '
                        'held out only where no file for validation is named')
    if options.val and Path(options.val).resolve() == Path(options.train_file).resolve():
        raise UserError(f'--val {options.val} is the file to train on, and a validation on it would tell nothing: '
                        'name a file of other images, or omit --val to hold images out')
    if options.init_from and options.network:
        raise UserError(f'--network {options.network} and --init-from exclude each other: the network is that of the '
                        'checkpoint')
    for option, value in (('--map', options.keypoint_map), ('--source-names', options.source_names)):
        if value and not options.init_from:
            raise UserError(f'{option} is about the keypoints of a checkpoint: name it with --init-from')


def _upper_ids(names: Sequence[str]) -> Optional[Tuple[int, ...]]:
    """Indices of the upper keypoints; ``None`` if a half is unknown, or too small for crops of its own."""
    upper = official_upper_ids(names)
    return upper if upper is not None and min(len(upper), len(names) - len(upper)) > HALF else None


def best_metric(sigmas: Sigmas) -> str:
    """The metric that chooses the best checkpoint: AP unless it depends on sigmas that were assumed."""
    return 'PCK' if sigmas.assumed else 'coco/AP'


def find_start(path: FilePath, names: Sequence[str], map_items: Optional[Sequence[str]] = None,
               sources_in_order: Optional[Sequence[str]] = None) -> Start:
    """Read a checkpoint of MSPN in any layout, and find where the keypoints ``names`` start.

    Args:
        path: The checkpoint: a file, a URL or the name of published weights.
        names: K names of keypoints of the dataset.
        map_items: Items ``keypoint=source``.
        sources_in_order: Names of the checkpoint's keypoints, if it does not name them.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is not a checkpoint of MSPN with a plain ResNet, its keypoints are not known, or an item of
            ``map_items`` names no keypoint.
    """
    path = checkpoint_file(path).resolve()
    checkpoint = read_checkpoint(path)
    weights = weights_of(checkpoint, path)
    try:
        weights = weights if recognize(weights) == 'mmpose_mspn' else convert(weights)
        if is_rsn(weights):
            raise CheckpointError('its backbone is RSN; name it as load_from in a config of RSN')
        sources = source_names(checkpoint, sources_in_order)
        backbone = infer_backbone(weights)
    except ValueError as error:
        raise CheckpointError(f'--init-from {path}: {error}') from error
    keypoint_map = {**_other_spellings(names, sources), **parse_map(map_items, names, sources)}
    return Start(path, backbone, _network_like(backbone), find_origins(names, sources, keypoint_map), keypoint_map)


def _network_like(backbone: dict) -> str:
    encoder = backbone['encoder']
    if encoder['stem_channels'] < NARROW:
        return 'small'
    return 'medium' if encoder['depth'] < DEEP else 'large'


def _other_spellings(names: Sequence[str], sources: Sequence[str]) -> Dict[str, str]:
    """Keypoints whose name the checkpoint spells in another way, such as ``L_Eye`` and ``left_eye``."""
    by_words = {words_of(source): source for source in sources}
    return {name: by_words[words_of(name)] for name in names if name not in sources and words_of(name) in by_words}
