"""Configs for the tools: files and names, the folder of the data, and the keys that a command line may set."""
import logging
import os
import os.path as osp
import re
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.config_types import arguments_of, class_of_any_registry
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.files import FULL


def load_config(path: str, cfg_options: Optional[dict] = None, data_root: Optional[str] = None) -> Config:
    """Load a config and optionally replace its ``data_root`` everywhere.

    Args:
        path: Config file, or one of the package's configs by its name: see
            :func:`mmpose_mspn.apis.config.config_path`.
        cfg_options: Values to merge into the config, as from ``--cfg-options``. The key ``data_root`` has the effect of
            the next argument. A key that nothing would read is refused, unless it begins with ``+``.
        data_root: Folder that replaces the config's own ``data_root`` in every dataset and path below it.

    Raises:
        FileNotFoundError: The config does not exist.
        ConfigError: The config cannot be read, an option does not fit it, or ``data_root`` is given, but the config has
            none that it could replace.
    """
    if data_root == '':
        raise ConfigError('--data-root is empty: name the folder of the data, or omit the option')
    file = str(config_path(path))
    try:
        cfg = Config.fromfile(file)
    except (Exception, SystemExit) as error:  # a config is code, which may raise anything
        if isinstance(error, OSError) and error.errno in FULL:  # mmengine copies a config before it reads it
            raise
        raise ConfigError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    refuse_misspelled_keys(cfg._cfg_dict, path)
    options = dict(cfg_options or {})
    data_root = data_root or options.pop('data_root', None)
    if data_root:
        old = cfg.get('data_root')
        if not isinstance(old, str):
            raise ConfigError(f'{path} has no data_root to replace by {data_root}: set that of each dataset')
        replace_root(cfg._cfg_dict, old, data_root)
    check_keys(cfg._cfg_dict, options)
    try:
        cfg.merge_from_dict({key[key.startswith(NEW_KEY):]: value for key, value in options.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f'--cfg-options {" ".join(options)} do not fit {path}: {error}') from error
    for name in sorted(_top_arguments() & cfg.keys()):
        _refuse_words_for_truth(cfg[name], name)
    return cfg


PATH_KEY = re.compile(r'(^|_)(root|file|files|path|paths|prefix|dir|folder|img|images|checkpoint|load_from)$')
"""Keys of a config whose strings are paths."""
READ_BY_RUNS = re.compile(r'(train|val|test)_(dataloader|evaluator)\b')
"""Parts of a config in which a relative path is one of data."""


def replace_root(config: dict, old: str, new: str) -> None:
    """Replace the folder ``old`` by ``new`` in all paths of nested dicts and lists, in place.

    A path is a string under a key that :data:`PATH_KEY` recognizes, or an entry of a ``data_prefix``. It is compared by
    its parts: ``data/coco2`` does not lie in ``data/coco``. A string that lies in ``old`` under another key is left,
    and a warning names it. If ``old`` is the working directory (an empty string), these are the relative paths of
    loaders and evaluators, except those that a dataset looks up below its own ``data_root``.
    """
    old_parts = _parts(old)
    for node, key, name, has_root in _strings(config):
        value = node[key]
        parts = _parts(value)
        if value.startswith('/') != old.startswith('/') or parts[:len(old_parts)] != old_parts:
            continue
        is_root = key == 'data_root'
        if not old_parts and not (is_root and not parts) and (has_root or is_root or not READ_BY_RUNS.match(name)):
            continue
        if not any(PATH_KEY.search(part) for part in name.split('.')[-1:] + name.split('.')[-2:-1]):
            if parts != old_parts:
                print_log(f'{name} = {value!r} lies in the replaced data_root, but its key does not name a path: it is '
                          'left as it is', 'current', logging.WARNING)
            continue
        is_folder = is_root or value.endswith('/')
        node[key] = osp.join(new, *parts[len(old_parts):], *[''] * is_folder)


def _parts(path: str) -> List[str]:
    return [part for part in path.split('/') if part not in ('', '.')]


Found = Tuple[Union[dict, list], Any, str, bool]


def _strings(node: object, name: str = '', has_root: bool = False) -> Iterator[Found]:
    """All strings of nested dicts and lists: container, key, dotted name, whether a part around it has a data_root."""
    if isinstance(node, dict):
        has_root = has_root or bool(name) and 'data_root' in node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        here = f'{name}.{key}' if name else str(key)
        if isinstance(value, str):
            yield node, key, here, has_root
        else:
            yield from _strings(value, here, has_root)


FOLDER = Path(__file__).parents[1] / '.mim' / 'configs'
PREFIX = f'{Path(__file__).parents[1].name}::'
"""Of the package's configs by their paths below the folder, as configs name their bases."""


def all_configs() -> Dict[str, Path]:
    """The package's configs by their names, which are those of the files without ``.py``."""
    # rglob does not follow links to folders before Python 3.13, and FOLDER is one in the repository.
    return {path.stem: path for path in sorted(FOLDER.resolve().rglob('*.py')) if '_base_' not in path.parts}


def config_path(config: Union[str, Path]) -> Path:
    """The file of a config.

    Args:
        config: Its path, or the name of one of the package's configs: ``NAME``, ``NAME.py`` or
            ``mmpose_mspn::body_2d_keypoint/…/NAME.py``, as a config names its base.

    Raises:
        FileNotFoundError: There is neither such a file nor such a name.
    """
    if Path(config).is_file():
        return Path(config)
    has_prefix = str(config).startswith(PREFIX)
    name = str(config)[len(PREFIX) * has_prefix:]
    if has_prefix and (FOLDER / name).is_file():
        return (FOLDER / name).resolve()
    known, stem = all_configs(), re.sub(r'\.py$', '', name)
    if stem in known:
        return known[stem]
    folder = Path(name).parent
    files = os.listdir(folder) if not has_prefix and folder.is_dir() else []
    if files and folder != Path():
        raise FileNotFoundError(f'config {config} does not exist{near_matches(Path(name).name, files)}')
    raise FileNotFoundError(f'config {config} does not exist: name a file, or a config of the package'
                            f'{near_matches(Path(name).name, [*files, *known])}')


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
MISSPELLED = 0.85
"""Similarity, as of ``difflib``, from which a key of a config file counts as a misspelled setting."""
OTHER_ENDING = re.compile(r'_.*|\d+')
"""What a user appends to the name of a setting to name a variable of his own."""
TRUTH_WORDS = ('true', 'false', 'yes', 'no', 'on', 'off')
"""Words that count as true in Python, whatever they say."""
FREE_TEXTS = ('metainfo', 'data_prefix', 'custom_imports', 'dataset_meta')
"""Parts in which such words may be names."""


def refuse_misspelled_keys(config: dict, path: str) -> None:
    """Refuse keys of a config file that resemble settings which nothing else would answer.

    Variables of the user's own stay: keys that resemble no setting, that add an ending to its name, that hold another
    kind of value, or whose value a setting has.

    Args:
        config: Content of the config.
        path: Its file, for the message.

    Raises:
        ConfigError: Names the key and the setting.
    """
    known = {*_top_arguments(), *OF_TOOLS}
    for key in sorted(config.keys() - known):
        for match in get_close_matches(key, known, n=1, cutoff=MISSPELLED):
            value, ending = config[key], key[len(match):] if key.startswith(match) else ''
            own = OTHER_ENDING.fullmatch(ending) or match in config and not _same_kind(value, config[match])
            if not own and not any(_holds(config[name], value) for name in known & config.keys()):
                raise ConfigError(f'{path}: {key} is no setting; did you mean {match!r}? A variable of your own needs '
                                  'a name that differs more')
    for parent in (*LOADERS, *OF_PARTS, 'optim_wrapper'):
        node: object = config
        for part in parent.split('.'):
            node = node.get(part) if isinstance(node, dict) else None
        arguments = _arguments(parent, node) if isinstance(node, dict) else None
        for key in sorted(node.keys() - arguments - IN_ANY_PART) if arguments else ():
            if get_close_matches(key, arguments, cutoff=MISSPELLED - 0.1):
                raise ConfigError(f'{path}: {parent} has no key {key!r}{near_matches(key, arguments)}')


def _same_kind(first: object, second: object) -> bool:
    kinds = (dict, (list, tuple), str, (int, float))
    return any(isinstance(first, kind) and isinstance(second, kind) for kind in kinds)


def _holds(node: object, value: object) -> bool:
    """Whether nested dicts and lists hold a value, which is not empty."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return False
    items = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    return node == value or any(_holds(item, value) for item in items)


def _refuse_words_for_truth(node: object, name: str) -> None:
    """Refuse words such as ``'no'`` where True or False is meant."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        if key not in FREE_TEXTS:
            _refuse_words_for_truth(value, f'{name}.{key}')
    if isinstance(node, str) and node.strip().lower() in TRUTH_WORDS:
        raise ConfigError(f'{name} must be True or False, got {node!r}, a text, which counts as true: set it in the '
                          f'config, or with --cfg-options {name}=…')


def check_keys(config: dict, keys: Iterable[str]) -> None:
    """Refuse keys that have no effect: those that no part of the config takes as an argument, and its variables.

    Args:
        keys: Keys with dots, such as ``train_dataloader.batch_size``. Keys that begin with :data:`NEW_KEY` pass.

    Raises:
        ConfigError: Names the key, and those that resemble it or hold the variable's value.
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
    raise ConfigError(f'--cfg-options {key}: {name} is a variable of the config file, and the settings that use it '
                      f'have been computed before options apply: {instead}, or write a config with another {name}')


def _places(node: object, path: str, name: str, value: object) -> Iterator[str]:
    """Keys with dots of the settings in ``node`` that have the name and the value of a variable."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, entry in items:
        if key == name and entry == value:
            yield f'{path}.{key}'
        yield from _places(entry, f'{path}.{key}', name, value)


def _top_arguments() -> Set[str]:
    return {*arguments_of(Runner), *OF_CONFIGS}


def _check_key(config: dict, key: str) -> None:
    node, parts = config, key.split('.')
    for depth, part in enumerate(parts):
        parent = '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(f'--cfg-options {key}: {parent} is a list of {len(node)}, {part!r} is '
                                  'no index of it')
            node = node[int(part)]
        elif isinstance(node, dict):
            if part not in node:
                _check_new(key, parent, part, node)
            node = node.get(part, {} if f'{parent}.{part}'.lstrip('.') in OF_PARTS else None)
        elif node is None:
            return
        else:
            raise ConfigError(f'--cfg-options {key}: {parent} is {node!r} and has no keys')


def _check_new(key: str, parent: str, part: str, node: dict) -> None:
    if parent.split('.')[-1] in FREE:
        return
    arguments = _arguments(parent, node)
    if arguments is None or part in arguments or part in IN_ANY_PART:
        return
    raise ConfigError(f'--cfg-options {key}: {parent or "the config"} has no key {part!r}'
                      f'{near_matches(part, {*node, *arguments})} (to add a new key on purpose: '
                      f'{NEW_KEY}{key}=…)')


def _arguments(parent: str, node: dict) -> Optional[Set[str]]:
    """What may be added to a part of the config; ``None`` if anything may be, because its class is not known."""
    if not parent:
        return _top_arguments()
    if parent in LOADERS:
        return {*arguments_of(DataLoader), 'num_batch_per_epoch'}
    arguments = set(OF_PARTS.get(parent, ()))
    if parent == 'optim_wrapper':
        arguments.update(arguments_of(OptimWrapper, AmpOptimWrapper), {'paramwise_cfg', 'constructor', 'clip_grad'})
    if 'type' in node:
        built = class_of_any_registry(node['type'])
        if built is None:
            return None
        arguments.update(arguments_of(*(built.__mro__ if isclass(built) else [built])))
    return arguments
