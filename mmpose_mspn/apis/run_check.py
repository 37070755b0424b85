"""Checks of a config before its run, of what would otherwise train to a wrong result or fail after it."""
import logging
import os
import os.path as osp
import tempfile
from inspect import isclass, signature
from typing import Iterator, List, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import print_log
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS, OPTIMIZERS

from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.datasets.coco_dataset import CocoStyleMixin
from mmpose_mspn.datasets.metainfo_rules import wrong_metainfo
from mmpose_mspn.models import MSPN, MSPNHead
from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.numbers import is_finite

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


NEVER = -1
"""Interval at which nothing is done, where mmengine's hooks take it so."""


class Range(NamedTuple):
    """Lowest value of a setting, and whether it must be an integer."""
    low: int
    integer: bool = True
    also: Optional[int] = None  # a value that has a meaning of its own

    def holds(self, value: object) -> bool:
        kind = type(value) is int if self.integer else is_finite(value)
        return kind and (value >= self.low or value == self.also)

    def __str__(self) -> str:
        also = '' if self.also is None else f', or {self.also}'
        return f'{"an integer" if self.integer else "a finite number"} >= {self.low}{also}'


RANGES = {
    'train': {
        'train_cfg.max_iters': Range(1), 'train_cfg.max_epochs': Range(1), 'train_cfg.val_interval': Range(1),
        'train_dataloader.batch_size': Range(1), 'train_dataloader.num_workers': Range(0),
        'default_hooks.checkpoint.interval': Range(1, also=NEVER),
        'default_hooks.logger.interval': Range(1),
        'optim_wrapper.accumulative_counts': Range(1), 'optim_wrapper.optimizer.lr': Range(0, integer=False),
        'optim_wrapper.optimizer.weight_decay': Range(0, integer=False),
        'optim_wrapper.clip_grad.max_norm': Range(0, integer=False), 'randomness.seed': Range(0),
    },
    'val': {'val_dataloader.batch_size': Range(1), 'val_dataloader.num_workers': Range(0)},
    'test': {'test_dataloader.batch_size': Range(1), 'test_dataloader.num_workers': Range(0)},
}
"""Settings by the split that reads them. One that the config does not have is not checked."""
SWITCHES = ('model.test_cfg.flip_test', 'model.test_cfg.shift_heatmap', 'model.test_cfg.output_heatmaps')
"""Settings that are True or False: any other value, such as "no", would count as True."""
NEEDED = {'train': ('train_cfg', 'optim_wrapper'), 'val': ('val_cfg', 'val_evaluator'),
          'test': ('test_cfg', 'test_evaluator')}
"""What mmengine needs beside the loader of a split."""


def check_settings(cfg: Config, splits: Tuple[str, ...]) -> None:
    """Check the settings of a config that the runs of ``splits`` read.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'`` those that the config has and that are run.

    Raises:
        ValueError: A part is missing, or a number is out of its range. The message names it.
    """
    for split in splits:
        for name in NEEDED[split]:
            if not cfg.get(name) and cfg.get(name) != {}:
                raise ValueError(f'the config has a {split}_dataloader, but no {name}: set both, or neither')
            if not name.endswith('evaluator') and not isinstance(cfg[name], dict):
                raise ValueError(f'{name} must be a dict, got {cfg[name]!r}')
        for name, allowed in RANGES[split].items():
            for value in _values(cfg, name):
                if not allowed.holds(value):
                    raise ValueError(f'{name} must be {allowed}, got {value!r}: set it in the config, or with '
                                     f'--cfg-options {name}=…')
        _check_loader(cfg, split)
    for name in SWITCHES:
        for value in _values(cfg, name):
            if not isinstance(value, bool):
                raise ValueError(f'{name} must be True or False, got {value!r}: set it in the config, or with '
                                 f'--cfg-options {name}=…')
    _check_pixels(cfg)
    if 'train' in splits:
        _check_optimizer(cfg)


def _values(cfg: Config, name: str) -> Iterator[object]:
    """The value of a setting, if the config has it."""
    node = cfg
    for part in name.split('.'):
        if not isinstance(node, (dict, Config)) or part not in node:
            return
        node = node[part]
    if node is not None:
        yield node


def _check_loader(cfg: Config, split: str) -> None:
    name = f'{split}_dataloader'
    loader = cfg[name]
    dataset = loader.get('dataset') or {}
    if isinstance(dataset, dict):
        _check_parts_of_dataset(f'{name}.dataset', dataset)
    if loader.get('persistent_workers') and not loader.get('num_workers'):
        raise ValueError(f'{name}.persistent_workers needs workers, but num_workers is 0: set '
                         f'{name}.persistent_workers=False, or more workers')


def _check_pixels(cfg: Config) -> None:
    """Check the numbers by which pixels are normalized; a std of 0 would make them infinite."""
    pixels = cfg.model.get('data_preprocessor') or {}
    mean, std = (pixels.get(name) for name in ('mean', 'std'))
    if mean is None and std is None:
        return
    given = f'model.data_preprocessor.mean {mean} and std {std}'
    if not all(isinstance(one, (list, tuple)) and len(one) in (1, 3) and is_finite(*one) for one in (mean, std)):
        raise ValueError(f'{given} must be three numbers each, or one for gray images, or both omitted')
    if len(mean) != len(std) or min(std) <= 0:
        raise ValueError(f'{given} must be of the same number, each std > 0')


def _check_parts_of_dataset(name: str, dataset: dict) -> None:
    if not dataset.get('type'):
        raise ValueError(f'{name} has no type: name the class of the dataset')
    prefix = dataset.get('data_prefix')
    if str(dataset['type']).startswith('mmpose_mspn.') and isinstance(prefix, dict) and 'img' not in prefix:
        raise ValueError(f'{name}.data_prefix names no folder of images: write dict(img=...), got {dict(prefix)}')
    if 'pipeline' not in dataset or dataset.get('datasets'):
        return
    steps = [str(step.get('type')) for step in dataset['pipeline'] or () if isinstance(step, dict)]
    for part, step in (('Load', 'LoadImage'), ('Pack', 'PackPoseInputs')):  # users may have classes of their own
        if not any(part in kind for kind in steps):
            raise ValueError(f'{name}.pipeline has no step {step}: list the steps from LoadImage to PackPoseInputs, '
                             f'got {steps}')


def _check_optimizer(cfg: Config) -> None:
    optimizer = cfg.optim_wrapper.get('optimizer') or {}
    if isinstance(optimizer, dict) and 'lr' in optimizer and optimizer['lr'] is None:
        raise ValueError('optim_wrapper.optimizer.lr must be a finite number >= 0, got None: set it in the config')
    kind = optimizer.get('type') if isinstance(optimizer, dict) else None
    if isinstance(kind, str):
        with OPTIMIZERS.switch_scope_and_registry('mmpose') as registry:
            if registry.get(kind) is None:
                known = {*OPTIMIZERS.module_dict, *(OPTIMIZERS.parent.module_dict if OPTIMIZERS.parent else ())}
                raise ValueError(f'there is no optimizer {kind!r}{near_matches(kind, known)}')


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


PREFIXES = dict(CocoMetric='coco', CocoWholeBodyMetric='coco-wholebody')
"""Default prefixes of COCO's metrics, by the class without scope."""
COCO_NAMES = ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)')
CROWD_NAMES = ('AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75', 'AP(E)', 'AP(M)', 'AP(H)')
"""What COCO's metrics measure, and what they do with ``iou_type='keypoints_crowd'``."""
AUTO = 'auto'
"""mmengine's word for the first metric."""


def check_best(cfg: Config, evaluators: List[dict]) -> None:
    """Check that ``default_hooks.checkpoint.save_best`` is a metric of the validation.

    Args:
        cfg: The config.
        evaluators: Its metrics. Where one of them is none of COCO's, its names are not known and nothing is checked.

    Raises:
        ValueError: It is not.
    """
    given = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    kinds = [type_name(metric) for metric in evaluators]
    if not given or not kinds or not set(kinds) <= set(PREFIXES):
        return
    known = [name for kind, metric in zip(kinds, evaluators) for name in _names(kind, metric)]
    for name in [given] if isinstance(given, str) else given:
        if name != AUTO and name not in known:
            raise ValueError(f'default_hooks.checkpoint.save_best is {name!r}, which val_evaluator does not measure'
                             f'{near_matches(str(name), known)}')


def _names(kind: str, metric: dict) -> Iterator[str]:
    names = CROWD_NAMES if metric.get('iou_type') == 'keypoints_crowd' else COCO_NAMES
    return (f'{metric.get("prefix") or PREFIXES[kind]}/{name}' for name in names)
