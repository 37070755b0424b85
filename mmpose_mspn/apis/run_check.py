"""Checks of a config before its run, of what would otherwise train to a wrong result or fail after it."""
import os
import os.path as osp
import tempfile
from inspect import isclass, signature
from typing import Iterator, List, Optional, Tuple

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS

from mmpose_mspn.apis.run_data import warn_of_data
from mmpose_mspn.apis.run_settings import check_settings
from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.datasets.coco_dataset import CocoStyleMixin
from mmpose_mspn.datasets.metainfo_rules import wrong_metainfo
from mmpose_mspn.models import MSPN, MSPNHead
from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead
from mmpose_mspn.utils.config_types import type_name

METRICS_SUFFIXES = ('.json', '.yaml', '.yml', '.pkl', '.pickle')
"""Files to which mmengine writes metrics."""


def check_run(cfg: Config, splits: Tuple[str, ...]) -> None:
    """Check the parts of a config that depend on each other.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'`` those that are run. ``'val'`` may be missing in the config.

    Raises:
        ValueError: Parts do not fit, or a loader is missing.
    """
    if not isinstance(cfg.get('model'), dict) or not cfg.model:
        raise ValueError('the config has no model: it is a part of other configs, or a file of another kind')
    for split in splits:
        if not cfg.get(f'{split}_dataloader'):
            if split == 'val':
                continue
            raise ValueError(f'the config has no {split}_dataloader: it is not one for {_purpose(split)}, take another')
    check_settings(cfg, tuple(split for split in splits if cfg.get(f'{split}_dataloader')))
    _check_head(cfg)
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            _check_dataset(f'{split}_dataloader.dataset', loader.get('dataset') or {}, _head(cfg))
    warn_of_data(cfg, splits)


def check_output_file(option: str, path: Optional[str], suffixes: Tuple[str, ...] = METRICS_SUFFIXES) -> None:
    """Check before a run that its result can be written to a file.

    Raises:
        ValueError: The suffix is none of ``suffixes``.
        OSError: The folder cannot be created or written to.
    """
    if path is None:
        return
    if not path.endswith(suffixes):
        raise ValueError(f'{option} {path} must end with one of {", ".join(suffixes)}')
    if osp.isdir(path):
        raise IsADirectoryError(f'{option} {path} is a folder: name a file')
    check_output_folder(option, osp.dirname(path) or '.')


def check_output_folder(option: str, folder: str) -> None:
    """Create a folder if it is missing, and check that files can be written to it.

    Raises:
        OSError: They cannot.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f'{option}: {folder} cannot be written to ({error.strerror or error}): choose another folder, or '
                      'change its permissions') from error


def _purpose(split: str) -> str:
    return 'training' if split == 'train' else 'testing'


def _head(cfg: Config) -> dict:
    """The config of the model's head, or that of an ensemble's decoder."""
    if 'members' in cfg.model:
        return dict(decoder=cfg.model.get('decoder'))
    return cfg.model.get('head') or {}


def _class(registry, part: dict) -> Optional[type]:
    """Class behind ``type``; ``None`` if it is not registered, which the run itself reports."""
    named = part.get('type')
    if not isinstance(named, str):
        return named if isclass(named) else None
    with registry.switch_scope_and_registry('mmpose') as current:
        found = current.get(named)
    return found if isclass(found) else None


def _is(found: Optional[type], *kinds: type) -> bool:
    return found is not None and issubclass(found, kinds)


def _gives_single_maps(backbone: Optional[type]) -> bool:
    """Whether a backbone of mmpose is none of those with stages of units (MSPN and RSN)."""
    return backbone is not None and backbone.__module__.startswith('mmpose.') and \
        'num_units' not in signature(backbone).parameters


def _check_head(cfg: Config) -> None:
    """Check that backbone, head and codec are of kinds that work together."""
    backbone, head = cfg.model.get('backbone') or {}, _head(cfg)
    backbone_class, head_class = _class(MODELS, backbone), _class(MODELS, head)
    single = _is(_class(MODELS, cfg.model), TopdownPoseEstimator) and 'members' not in cfg.model  # not an ensemble
    for name, part in (('backbone', backbone), ('head', head)):
        if single and (not isinstance(part, dict) or 'type' not in part):
            raise ValueError(f'model.{name} is missing, or has no type: {cfg.model.type} needs one')
    if _is(head_class, MSPNHead) and not cfg.model.get('neck') and _gives_single_maps(backbone_class):
        raise ValueError(f"backbone {backbone['type']} gives one feature map per level, but head MSPNHead takes those "
                         "of all stages and units: take mmpose_mspn.MSPN, or mmpose's MSPN or RSN, as model.backbone")
    if _is(backbone_class, MSPN) and not cfg.model.get('neck'):
        output = backbone.get('output', 'all')
        if output == 'final' and _is(head_class, MSPNHead):
            raise ValueError("backbone.output is 'final', one feature map, but head MSPNHead takes those of all units: "
                             "set model.backbone.output='all'")
        takes_one = head_class is not None and head_class.__module__.startswith('mmpose.') and \
            'num_units' not in signature(head_class).parameters
        if output == 'all' and takes_one:
            raise ValueError(f"head {head['type']} takes one feature map, but backbone.output is 'all', those of all "
                             "units: set model.backbone.output='final'")
    decoder = head.get('decoder')
    if _is(head_class, BaseHeatmapHead) and decoder:
        codec_class = _class(KEYPOINT_CODECS, decoder)
        if codec_class is not None and not issubclass(codec_class, CoarseToFineHeatmap):
            raise ValueError(f'model.head.decoder is {decoder["type"]}, but {head["type"]} needs '
                             'mmpose_mspn.CoarseToFineHeatmap, which renders its targets')


def _check_dataset(name: str, dataset: dict, head: dict) -> None:
    decoder = head.get('decoder')
    ours = _is(_class(DATASETS, dataset), CocoStyleMixin)
    steps = [(where, step) for where, step in _dicts(dataset, name) if isinstance(step.get('type'), (str, type))]
    converted = any(type_name(step) == 'KeypointConverter' for _, step in steps)
    for where, step in steps:
        if type_name(step) == 'GenerateTarget' and step.get('encoder'):
            encoders = step['encoder'] if isinstance(step['encoder'], (list, tuple)) else [step['encoder']]
            visibility = ours or any(type_name(other) == 'LoadVisibility' for _, other in steps)
            _check_encoders(f'{where}.encoder', encoders, decoder, visibility)
        elif type_name(step) == 'TopdownAffine' and decoder and 'input_size' in decoder:
            size, wanted = tuple(step.get('input_size', ())), tuple(decoder['input_size'])
            if size != wanted:
                raise ValueError(f'{where}: TopdownAffine cuts crops of input_size {size}, but model.head.decoder has '
                                 f'input_size {wanted}: write the same codec in both')
    if not converted:
        _check_number_of_keypoints(name, dataset, head)


def _check_encoders(name: str, encoders: List[dict], decoder: Optional[dict], visibility: bool) -> None:
    for encoder in encoders:
        kind = _class(KEYPOINT_CODECS, encoder)
        if visibility and kind is not None and not issubclass(kind, CoarseToFineHeatmap):
            raise ValueError(f"{name} is mmpose's {encoder['type']}, which takes visibility as a weight, but the "
                             'dataset gives visibility 0/1/2, which would weigh visible keypoints twice: take '
                             "mmpose's own dataset (type='CocoDataset'), without LoadVisibility, or "
                             'mmpose_mspn.CoarseToFineHeatmap')
    if not decoder:
        return
    differing = [_difference(encoder, decoder) for encoder in encoders]
    if all(differing):
        raise ValueError(f'{name} and model.head.decoder must be the same codec, but differ: {differing[-1]}: the '
                         'model would be trained for one and read by the other; write codec = dict(...) once and use '
                         'it twice')


def _difference(encoder: dict, decoder: dict) -> str:
    """The arguments in which two codecs differ, with defaults filled in; empty if there are none."""
    one, other = _class(KEYPOINT_CODECS, encoder), _class(KEYPOINT_CODECS, decoder)
    if one is not other:
        return f'type {encoder.get("type")} and {decoder.get("type")}'
    defaults = {} if one is None else {
        key: value.default for key, value in signature(one).parameters.items() if value.default is not value.empty
    }
    first, second = {**defaults, **encoder}, {**defaults, **decoder}
    keys = sorted({*first, *second} - {'type', 'encode_as', '_scope_'})
    return ', '.join(f'{key} {first.get(key)} and {second.get(key)}' for key in keys
                     if _plain(first.get(key)) != _plain(second.get(key)))


def _plain(value: object) -> object:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _check_number_of_keypoints(name: str, dataset: dict, head: dict) -> None:
    found, channels = _class(DATASETS, dataset), head.get('out_channels')
    meta = dataset.get('metainfo') or getattr(found, 'METAINFO', None)
    if not meta or not isinstance(channels, int):
        return
    try:
        parsed = parse_pose_metainfo(dict(meta))
    except (KeyError, TypeError, AssertionError) as error:
        raise ValueError(f'{name}.metainfo cannot be read: {type(error).__name__}: {error}') from error
    wrong, keypoints = wrong_metainfo(parsed), parsed['num_keypoints']
    if wrong:
        raise ValueError(f'{name}.metainfo: {wrong}')
    if keypoints != channels:
        raise ValueError(f'{name} has {keypoints} keypoints (its metainfo), but model.head.out_channels is {channels}: '
                         f'set model.head.out_channels={keypoints}, or the metainfo of the keypoints')


def _dicts(node: object, name: str) -> Iterator[Tuple[str, dict]]:
    """All dicts in nested dicts and lists, with their dotted names."""
    if isinstance(node, dict):
        yield name, node
        for key, value in node.items():
            if key not in ('encoder', 'metainfo'):
                yield from _dicts(value, f'{name}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _dicts(value, f'{name}.{index}')
