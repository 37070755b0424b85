"""Keys that a command line may set in a config: others would be merged and never read."""
import inspect
from typing import Iterable, Iterator, Optional, Sequence, Set

from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmpose import registry as mmpose_registry
from torch.utils.data import DataLoader

from mmpose_mspn.utils.arguments import near_matches

NEW_KEY = '+'
"""Prefix of a key that is added on purpose, though nothing is known to read it."""

IN_ANY_PART = {'type', '_scope_', '_delete_', 'init_cfg'}
FREE = {'data_prefix', 'metainfo', 'init_cfg', 'paramwise_cfg', 'custom_keys', 'dist_cfg', 'default_hooks'}
"""Parts whose keys are names of the user's choice."""
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
OF_LOOPS = {'by_epoch', 'max_epochs', 'max_iters', 'val_begin', 'val_interval', 'dynamic_intervals', 'fp16'}
OF_PARTS = {
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'model.test_cfg': {'flip_test', 'flip_mode', 'shift_heatmap', 'shift_coords', 'output_heatmaps', 'shift_test',
                       'output_keypoint_indices', 'blur_kernel_size', 'mode'},
    'train_cfg': OF_LOOPS,
    'val_cfg': OF_LOOPS,
    'test_cfg': OF_LOOPS,
}
"""Keys of parts that have no type, beside those that a config sets."""
OF_CONFIGS = {'auto_scale_lr', 'custom_imports', 'model_wrapper_cfg', 'optim_wrapper', 'find_unused_parameters',
              'resume', 'compile', 'sync_bn', 'strategy', 'runner_type', 'backend_args'}
OF_TOOLS = {'data_root', 'category'}
"""Keys at the top of a config that this package's tools read."""
PLACES_SHOWN = 3
"""Number of settings that an error message names."""


def check_keys(config: dict, keys: Iterable[str]) -> None:
    """Refuse keys that have no effect: those that no part of the config takes as an argument, and its variables.

    Args:
        config: Content of the config.
        keys: Keys with dots, such as ``train_dataloader.batch_size``. Keys that begin with :data:`NEW_KEY` pass.

    Raises:
        ValueError: Names the key, and those that resemble it or hold the variable's value.
    """
    for key in keys:
        if not key.startswith(NEW_KEY):
            _check_variable(config, key)
            _check_key(config, key)


def _check_variable(config: dict, key: str) -> None:
    """Refuse a variable of the config file: its settings took the value when the file was read, before any option."""
    name = key.split('.')[0]
    if name not in config or name in {*_top_arguments(), *OF_TOOLS}:
        return
    places = [place for part in sorted(_top_arguments() & config.keys())
              for place in _places(config[part], part, name, config[name])]
    instead = f'set {", ".join(places[:PLACES_SHOWN])}' if places else 'set what it is used for'
    raise ValueError(f'--cfg-options {key}: {name} is a variable of the config file, and the settings that use it have '
                     f'been computed before options apply: {instead}, or write a config with another {name}')


def _places(node: object, path: str, name: str, value: object) -> Iterator[str]:
    """Keys with dots of the settings in ``node`` that have the name and the value of a variable."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, found in items:
        if key == name and found == value:
            yield f'{path}.{key}'
        yield from _places(found, f'{path}.{key}', name, value)


def _top_arguments() -> Set[str]:
    return {*inspect.signature(Runner).parameters, *OF_CONFIGS}


def _check_key(config: dict, key: str) -> None:
    node, parts = config, key.split('.')
    for depth, part in enumerate(parts):
        parent = '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise ValueError(f'--cfg-options {key}: {parent} is a list of {len(node)}, {part!r} is '
                                 'no index of it')
            node = node[int(part)]
        elif isinstance(node, dict):
            if part not in node:
                _check_new(key, parent, part, node)
            node = node.get(part, {} if f'{parent}.{part}'.lstrip('.') in OF_PARTS else None)
        elif node is None:
            return
        else:
            raise ValueError(f'--cfg-options {key}: {parent} is {node!r} and has no keys')


def _check_new(key: str, parent: str, part: str, node: dict) -> None:
    if parent.split('.')[-1] in FREE:
        return
    arguments = _arguments(parent, node)
    if arguments is None or part in arguments or part in IN_ANY_PART:
        return
    raise ValueError(f'--cfg-options {key}: {parent or "the config"} has no key {part!r}'
                     f'{near_matches(part, {*node, *arguments})} (to add a new key on purpose: '
                     f'{NEW_KEY}{key}=…)')


def _arguments(parent: str, node: dict) -> Optional[Set[str]]:
    """What may be added to a part of the config; ``None`` if anything may be, because its class is not known."""
    if not parent:
        return _top_arguments()
    if parent in LOADERS:
        return {*inspect.signature(DataLoader).parameters, 'num_batch_per_epoch'}
    known = set(OF_PARTS.get(parent, ()))
    if parent == 'optim_wrapper':
        known.update(_parameters([OptimWrapper, AmpOptimWrapper]), {'paramwise_cfg', 'constructor', 'clip_grad'})
    if 'type' in node:
        found = _class(node['type'])
        if found is None:
            return None
        known.update(_parameters(found.__mro__ if inspect.isclass(found) else [found]))
    return known


def _parameters(classes: Sequence[object]) -> Set[str]:
    names = set()
    for one in classes:
        try:
            names.update(inspect.signature(one).parameters)
        except (ValueError, TypeError):  # a class of Python itself
            continue
    return names


def _class(named: object) -> Optional[object]:
    if not isinstance(named, str):
        return named
    for one in vars(mmpose_registry).values():
        if isinstance(one, Registry):
            with one.switch_scope_and_registry('mmpose') as registry:
                found = registry.get(named)
            if found is not None:
                return found
    return None
