"""Checks of single settings of a config before its run: numbers in their ranges, and parts that must be there."""
from typing import Iterator, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmpose.registry import OPTIMIZERS

from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.numbers import is_finite

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
