"""Checks of a config before its run, of what would otherwise train to a wrong result or fail after hours.

What some experiments intend is logged as a warning and not refused.
"""
import os.path as osp
from inspect import signature
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS, OPTIMIZERS

from mmpose_mspn.apis.dataset_check import check_dataset, check_visibility, codec_class, warn_of_data
from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.engine.distributed import refuse_different_configs
from mmpose_mspn.models import MSPN, MSPNHead
from mmpose_mspn.models.heads.base_heatmap_head import BaseHeatmapHead
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.config_types import (
    InnerDataset,
    building,
    class_of_any_registry,
    inner_datasets,
    registered_class,
    type_name,
)
from mmpose_mspn.utils.errors import ConfigError, OutputError
from mmpose_mspn.utils.files import prepare_output_folder
from mmpose_mspn.utils.numbers import is_finite
from mmpose_mspn.utils.outputs import check_outputs, may_replace, move_output, refuse_empty

METRICS_SUFFIXES = ('.json', '.yaml', '.yml', '.pkl', '.pickle')
"""Files to which mmengine writes metrics."""
NEVER = -1
"""Interval at which nothing is done, where mmengine's hooks take it so."""


class Range(NamedTuple):
    """Lowest value of a setting, and whether it must be an integer."""
    low: int
    integer: bool = True
    also: Optional[int] = None  # a value that has a meaning of its own

    def holds(self, value: object) -> bool:
        is_number = type(value) is int if self.integer else is_finite(value)
        return is_number and (value >= self.low or value == self.also)

    def __str__(self) -> str:
        also = '' if self.also is None else f', or {self.also}'
        return f'{"an integer" if self.integer else "a finite number"} >= {self.low}{also}'


RANGES = {
    'train': {
        'train_cfg.max_iters': Range(1), 'train_cfg.max_epochs': Range(1), 'train_cfg.val_interval': Range(1),
        'default_hooks.checkpoint.interval': Range(1, also=NEVER), 'default_hooks.logger.interval': Range(1),
        'optim_wrapper.accumulative_counts': Range(1), 'optim_wrapper.optimizer.lr': Range(0, integer=False),
        'optim_wrapper.optimizer.weight_decay': Range(0, integer=False),
        'optim_wrapper.clip_grad.max_norm': Range(0, integer=False), 'randomness.seed': Range(0),
    },
    'val': {},
    'test': {},
}
"""Settings by the split that reads them. One that the config does not have is not checked."""
SWITCHES = ('model.test_cfg.flip_test', 'model.test_cfg.shift_heatmap', 'model.test_cfg.output_heatmaps')
"""Settings that are True or False: any other value, such as "no", would count as True."""
NEEDED = {'train': ('train_cfg', 'optim_wrapper'), 'val': ('val_cfg', 'val_evaluator'),
          'test': ('test_cfg', 'test_evaluator')}
"""What mmengine needs beside the loader of a split."""

PREFIXES = dict(CocoMetric='coco', CocoWholeBodyMetric='coco-wholebody')
"""Default prefixes of COCO's metrics, by the class without scope."""
COCO_NAMES = ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)')
CROWD_NAMES = ('AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75', 'AP(E)', 'AP(M)', 'AP(H)')
"""What COCO's metrics measure, and what they do with ``iou_type='keypoints_crowd'``."""
AUTO = 'auto'
"""mmengine's word for the first metric."""


def check_run(cfg: Config, splits: Tuple[str, ...]) -> None:
    """Check the parts of a config that a run reads, alone and together.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'`` those that are run. ``'val'`` may be missing in the config.

    Raises:
        ConfigError: A part is missing, a setting is out of its range, or parts do not fit. The message names them.
    """
    if not isinstance(cfg.get('model'), dict) or not cfg.model:
        raise ConfigError('the config has no model: it is a part of other configs, or a file of another kind')
    splits = tuple(split for split in splits if cfg.get(f'{split}_dataloader') or split != 'val')
    for split in splits:
        _check_settings(cfg, split)
    _check_switches_and_pixels(cfg)
    _check_model(cfg)
    datasets: Dict[str, List[InnerDataset]] = {}
    for split in splits:
        name = f'{split}_dataloader.dataset'
        datasets[split] = list(inner_datasets(cfg[f'{split}_dataloader'].get('dataset'), name))
        for dataset in datasets[split]:
            check_dataset(dataset, _head(cfg), _is(_model_class(cfg.model), TopdownPoseEstimator))
        if split != 'train':
            _check_head_boxes(cfg, split, datasets[split])
    if 'train' in splits:
        _check_best(cfg)
    warn_of_data(datasets)


class _TrainingRunner(Runner):
    """mmengine's runner, which leaves the files of the user in the work directory, and those of other kinds of runs."""

    KIND = 'train'

    @master_only
    def dump_config(self) -> None:
        """Write the config to the work directory, or to the folder of the run's log where a file is in the way."""
        name = osp.basename(self.cfg.filename or f'{self.timestamp}.py')
        made, path = osp.join(self.log_dir, name), osp.join(self.work_dir, name)
        self.cfg.dump(made)
        is_source = self.cfg.filename and osp.exists(path) and osp.samefile(path, self.cfg.filename)
        if not is_source and may_replace(path, self.KIND):
            move_output(made, path, self.KIND)
        else:
            print_log(f'{path} stays as it is: the config of this run is {made}', 'current')


class _TestRunner(_TrainingRunner):
    KIND = 'test'


_RUNNERS = {'train': _TrainingRunner, 'test': _TestRunner}


def build_runner(cfg: Config, split: str) -> Runner:
    """The runner of a training (``'train'``) or a test (``'test'``) with its data, optimizer and schedules.

    Raises:
        ConfigError: A part cannot be built.
    """
    refuse_different_configs(cfg)
    with building('the config', cfg._cfg_dict, ''):
        runner = _RUNNERS[split].from_cfg(cfg)
    refuse_different_configs(cfg)  # on GPUs, the processes know each other only now
    if split == 'test':
        with building('test_dataloader or test_evaluator', cfg._cfg_dict, ''):
            runner.test_loop  # noqa: B018  the property builds it
        return runner
    with building('train_dataloader', cfg.train_dataloader):
        runner.train_loop  # noqa: B018
    check_visibility(runner, list(inner_datasets(cfg.train_dataloader.dataset, 'train_dataloader.dataset')))
    _check_custom_keys(cfg, runner)
    with building('optim_wrapper', cfg.optim_wrapper):
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    with building('param_scheduler', cfg.get('param_scheduler')):  # which read the scaled learning rate
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        runner.auto_scale_lr = None
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    if cfg.get('val_dataloader'):
        with building('val_dataloader or val_evaluator', cfg._cfg_dict, ''):
            runner.val_loop  # noqa: B018
    return runner


def _check_custom_keys(cfg: Config, runner: Runner) -> None:
    """Refuse keys of ``paramwise_cfg.custom_keys`` that are part of no parameter's name."""
    paramwise = cfg.optim_wrapper.get('paramwise_cfg') or {}
    names = [name for name, _ in runner.model.named_parameters()]
    for key in paramwise.get('custom_keys') or {}:
        if not any(key in name for name in names):
            raise ConfigError(f'optim_wrapper.paramwise_cfg.custom_keys: {key!r} is part of no parameter\'s name'
                              f'{near_matches(key, {part for name in names for part in name.split(".")})}')


def check_output_file(option: str, path: Optional[str], suffixes: Tuple[str, ...] = METRICS_SUFFIXES) -> None:
    """Check before a run that its result can be written to a file.

    Raises:
        OutputError: The suffix is none of ``suffixes``, the folder cannot be created or written to, or a file that no
            test has written for this option stands in the way.
    """
    if path is None:
        return
    refuse_empty(option, path)
    if not path.endswith(suffixes):
        raise OutputError(f'{option} {path} must end with one of {", ".join(suffixes)}')
    if osp.isdir(path):
        raise OutputError(f'{option} {path} is a folder: name a file')
    prepare_output_folder(option, osp.dirname(path) or '.')
    check_outputs(option, [path], f'test {option}')


def evaluators(cfg: Config, split: str) -> List[dict]:
    """The metrics of ``'val'`` or ``'test'``, which a config may give as none, one or a list."""
    metrics = cfg.get(f'{split}_evaluator') or []
    return metrics if isinstance(metrics, list) else [metrics]


# Settings


def _check_settings(cfg: Config, split: str) -> None:
    """Check that a split has what mmengine needs, and that its numbers are in their ranges."""
    loader = f'{split}_dataloader'
    if not cfg.get(loader):
        purpose = 'training' if split == 'train' else 'testing'
        raise ConfigError(f'the config has no {loader}: it is not one for {purpose}, take another')
    for name in NEEDED[split]:
        if not cfg.get(name) and cfg.get(name) != {}:
            raise ConfigError(f'the config has a {loader}, but no {name}: set both, or neither')
        if not name.endswith('evaluator') and not isinstance(cfg[name], dict):
            raise ConfigError(f'{name} must be a dict, got {cfg[name]!r}')
    ranges = {**RANGES[split], f'{loader}.batch_size': Range(1), f'{loader}.num_workers': Range(0)}
    for name, allowed in ranges.items():
        for value in _values(cfg, name):
            if not allowed.holds(value):
                raise ConfigError(f'{name} must be {allowed}, got {value!r}: set it in the config, or with '
                                  f'--cfg-options {name}=…')
    if cfg[loader].get('persistent_workers') and not cfg[loader].get('num_workers'):
        raise ConfigError(f'{loader}.persistent_workers needs workers, but num_workers is 0: set '
                          f'{loader}.persistent_workers=False, or more workers')
    optimizer = cfg.optim_wrapper.get('optimizer') if split == 'train' else None
    if isinstance(optimizer, dict) and 'lr' in optimizer and optimizer['lr'] is None:
        raise ConfigError('optim_wrapper.optimizer.lr must be a finite number >= 0, got None: set it in the config')
    named = optimizer.get('type') if isinstance(optimizer, dict) else None
    if isinstance(named, str) and class_of_any_registry(named) is None:  # mmengine would say that None is not callable
        known = {*OPTIMIZERS.module_dict, *(OPTIMIZERS.parent.module_dict if OPTIMIZERS.parent else ())}
        raise ConfigError(f'there is no optimizer {named!r}{near_matches(named, known)}')
    for index, hook in enumerate(cfg.get('custom_hooks') or () if split == 'train' else ()):
        momentum = hook.get('momentum', 0.5)
        if type_name(hook) == 'EMAHook' and not (is_finite(momentum) and 0 < momentum < 1):  # built after all checks
            raise ConfigError(f'custom_hooks.{index}.momentum must be a number between 0 and 1, got {momentum!r}: set '
                              'it in the config')


def _values(cfg: Config, name: str) -> Iterator[object]:
    """The value of a setting, if the config has it."""
    node = cfg
    for part in name.split('.'):
        if not isinstance(node, (dict, Config)) or part not in node:
            return
        node = node[part]
    if node is not None:
        yield node


def _check_switches_and_pixels(cfg: Config) -> None:
    for name in SWITCHES:
        for value in _values(cfg, name):
            if not isinstance(value, bool):
                raise ConfigError(f'{name} must be True or False, got {value!r}: set it in the config, or with '
                                  f'--cfg-options {name}=…')
    pixels = cfg.model.get('data_preprocessor') or {}
    mean, std = pixels.get('mean'), pixels.get('std')
    if mean is None and std is None:
        return
    what = f'model.data_preprocessor.mean {mean} and std {std}'
    if not all(isinstance(values, (list, tuple)) and len(values) in (1, 3) and is_finite(*values)
               for values in (mean, std)):
        raise ConfigError(f'{what} must be three numbers each, or one for gray images, or both omitted')
    if len(mean) != len(std) or min(std) <= 0:  # a std of 0 would make pixels infinite
        raise ConfigError(f'{what} must be of the same number, each std > 0')


# Backbone, head and codec


def _head(cfg: Config) -> dict:
    """The config of the model's head, or that of an ensemble's decoder."""
    if 'members' in cfg.model:
        return dict(decoder=cfg.model.get('decoder'))
    return cfg.model.get('head') or {}


def _is(built: Optional[type], *kinds: type) -> bool:
    return built is not None and issubclass(built, kinds)


def _model_class(config: dict) -> Optional[type]:
    return registered_class(config.get('type'), MODELS, 'mmpose')


def _has_no_units(built: Optional[type]) -> bool:
    """Whether a class is one of mmpose and none of those for stages of units, MSPN and RSN."""
    return built is not None and built.__module__.startswith('mmpose.') and \
        'num_units' not in signature(built).parameters


def _check_model(cfg: Config) -> None:
    """Check that backbone, head and codec are of kinds that work together."""
    backbone, head = cfg.model.get('backbone') or {}, _head(cfg)
    if _is(_model_class(cfg.model), TopdownPoseEstimator) and 'members' not in cfg.model:  # not an ensemble
        for name, part in (('backbone', backbone), ('head', head)):
            if not isinstance(part, dict) or 'type' not in part:
                raise ConfigError(f'model.{name} is missing, or has no type: {cfg.model.type} needs one')
    backbone_class, head_class = _model_class(backbone), _model_class(head)
    if not cfg.model.get('neck'):
        is_mspn, all_units = _is(backbone_class, MSPN), backbone.get('output', 'all') == 'all'
        if _is(head_class, MSPNHead) and _has_no_units(backbone_class):
            raise ConfigError(f"backbone {backbone['type']} gives one feature map per level, but head MSPNHead takes "
                              "those of all stages and units: take mmpose_mspn.MSPN, or mmpose's MSPN or RSN, as "
                              'model.backbone')
        if is_mspn and not all_units and _is(head_class, MSPNHead):
            raise ConfigError("backbone.output is 'final', one feature map, but head MSPNHead takes those of all "
                              "units: set model.backbone.output='all'")
        if is_mspn and all_units and _has_no_units(head_class):
            raise ConfigError(f"head {head['type']} takes one feature map, but backbone.output is 'all', those of all "
                              "units: set model.backbone.output='final'")
    decoder = head.get('decoder')
    if _is(head_class, BaseHeatmapHead) and decoder:
        built = codec_class(decoder)
        if built is not None and not issubclass(built, CoarseToFineHeatmap):
            raise ConfigError(f'model.head.decoder is {decoder["type"]}, but {head["type"]} needs '
                              'mmpose_mspn.CoarseToFineHeatmap, which renders its targets')


# Metrics


def _check_head_boxes(cfg: Config, split: str, datasets: List[InnerDataset]) -> None:
    """Check that the people of a PCKh metric have the head boxes that it divides by."""
    by_head = any(type_name(metric) == 'MpiiPCKAccuracy' for metric in evaluators(cfg, split))
    for dataset in datasets if by_head else ():
        if not dataset.config.get('headbox_file'):
            raise ConfigError(f'{split}_evaluator divides by head sizes (PCKh), and {dataset.name}.headbox_file is not '
                              "set: set it to the .mat file of these people's head boxes, or measure with "
                              f'{split}_evaluator.type=PCKAccuracy {split}_evaluator.norm_item=bbox')


def _check_best(cfg: Config) -> None:
    """Check that ``default_hooks.checkpoint.save_best`` is a metric of the validation, if that has COCO's alone."""
    save_best = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    metrics = evaluators(cfg, 'val')
    if not save_best or not metrics or not {type_name(metric) for metric in metrics} <= set(PREFIXES):
        return
    measured = [name for metric in metrics for name in _metric_names(metric)]
    for name in [save_best] if isinstance(save_best, str) else save_best:
        if name != AUTO and name not in measured:
            raise ConfigError(f'default_hooks.checkpoint.save_best is {name!r}, which val_evaluator does not measure'
                              f'{near_matches(str(name), measured)}')


def _metric_names(metric: dict) -> Iterator[str]:
    names = CROWD_NAMES if metric.get('iou_type') == 'keypoints_crowd' else COCO_NAMES
    return (f'{metric.get("prefix") or PREFIXES[type_name(metric)]}/{name}' for name in names)
