"""The config that a checkpoint carries as text, read without running any of it.

mmengine's Runner stores the text of a run's config in ``meta['cfg']``. That text is Python, and mmengine's
``Config.fromstring`` executes it. Here it is parsed, and only plain data are taken: numbers, strings, lists, tuples and
dicts. Building a model from plain data could run code as well, because mmengine imports and calls whatever a ``type``
names. So every ``type`` must be a class that mmengine, mmpose or this package has registered, the model must be a
top-down pose estimator, the pipeline must consist of the steps that make crops, and no value may name a Python file.
"""
import ast
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Set, Union

from mmengine.config import Config
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry
from torch import nn

from mmpose_mspn.utils.errors import CheckpointError

PARTS = ('default_scope', 'model', 'test_dataloader', 'visualizer', 'category')
"""The parts of a config that predictions need. Nothing else of the text is evaluated."""
SCOPES = ('mmengine', 'mmpose', 'mmpose_mspn')
"""Whose registered classes a checkpoint may name."""
ESTIMATOR = 'TopdownPoseEstimator'
STEPS = ('LoadImage', 'LoadVisibility', 'GetBBoxCenterScale', 'WidenBBox', 'TopdownAffine', 'PackPoseInputs')
"""Steps of the test pipelines of mmpose and of this package."""
VISUALIZER = 'PoseLocalVisualizer'
LONGEST = 1 << 20
"""Characters of the longest text that is parsed."""
LARGEST = 1 << 13
"""The largest integer in it, such as a side of a crop."""
DEEPEST = 60
"""Brackets within brackets in a text that is parsed."""


def embedded_config(checkpoint: Mapping, name: object) -> Optional[Dict[str, Any]]:
    """The parts of a checkpoint's config that predictions need, as plain data that are safe to build from.

    Args:
        checkpoint: Content of the file.
        name: Name of the file, for messages.

    Returns:
        ``model`` and ``test_dataloader`` with the ``pipeline`` and ``type`` of its dataset, and ``default_scope``,
        ``visualizer`` and ``category`` where the config has them. ``None`` if the checkpoint carries no config, or one
        without a model and a test pipeline.

    Raises:
        CheckpointError: The config holds more than plain data, or names what a checkpoint may not name.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        found = parse_plain(text, PARTS)
        pipeline = ((found.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline')
        if not found.get('model') or not pipeline:
            return None
        _check(found)
        _check_numbers(found, checkpoint)
        if 'dataset_meta' not in meta and found['test_dataloader']['dataset'].get('metainfo'):
            raise ValueError('the keypoints are named by the metainfo of its data, which may name a file')
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f'the config in {name} is not used, because building it could run code ({error}): if you trust its '
            'author, save the config as a file and give it with config=') from error
    return _needed(found)


def config_text(config: Union[str, Path, Config]) -> str:
    """The text of a config in the form in which mmengine's Runner stores it in ``meta['cfg']``."""
    return (config if isinstance(config, Config) else Config.fromfile(config)).pretty_text


def parse_plain(text: str, names: tuple) -> Dict[str, Any]:
    """The values that a config's text assigns to ``names``, without running it.

    Args:
        text: The text, as mmengine's ``Config.pretty_text`` writes it.
        names: Names at the top level. Others are not evaluated and may hold anything.

    Raises:
        ValueError: The text is not Python, or a value is not made of numbers, strings, lists, tuples and dicts.
    """
    if len(text) > LONGEST or _depth(text) > DEEPEST:
        raise ValueError(f'its text is longer than {LONGEST} characters or nested deeper than {DEEPEST} brackets')
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'its text is not Python: {error}') from error
    found: Dict[str, Any] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(target, ast.Name) and target.id in names:
            found[target.id] = _value(node.value)
    return found


def _depth(text: str) -> int:
    """Deepest nesting of brackets; those in strings count too."""
    depth = deepest = 0
    for character in text:
        if character in '([{':
            depth += 1
            deepest = max(deepest, depth)
        elif character in ')]}':
            depth -= 1
    return deepest


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and (
            type(node.operand.value) in (int, float)):
        return -node.operand.value
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and (
            all(keyword.arg for keyword in node.keywords) and all(isinstance(arg, ast.Dict) for arg in node.args)):
        merged: Dict[Any, Any] = {}
        for argument in node.args[:1]:
            merged.update(_value(argument))
        merged.update({keyword.arg: _value(keyword.value) for keyword in node.keywords})
        return merged
    raise ValueError(f'line {getattr(node, "lineno", "?")} holds {ast.unparse(node)[:60]!r}, which is not plain data')


def _check(found: Dict[str, Any]) -> None:
    """Raise ValueError unless the parts can be built without running anything but registered classes."""
    if found.get('default_scope', 'mmpose') not in SCOPES:
        raise ValueError(f'default_scope is {found["default_scope"]!r}, not one of {", ".join(SCOPES)}')
    model = found['model']
    if _base_name(model.get('type')) != ESTIMATOR:
        raise ValueError(f'its model is a {model.get("type")!r}, not a {ESTIMATOR}')
    known = _registered(mmpose_registry.MODELS) | _registered(mmpose_registry.KEYPOINT_CODECS)
    steps = _registered(mmpose_registry.TRANSFORMS)
    pipeline = found['test_dataloader']['dataset']['pipeline']
    for step in pipeline:
        if _base_name(step.get('type')) not in STEPS:
            raise ValueError(f'its test pipeline has the step {step.get("type")!r}, not one of {", ".join(STEPS)}')
    for part, names in ((_without(model, 'init_cfg'), known), (pipeline, steps)):
        for key, value in _entries(part):
            if key == 'type' and (not isinstance(value, str) or value not in names):
                raise ValueError(f'no class of that name is registered: {value!r}')
            if key == '_scope_' and value not in SCOPES:
                raise ValueError(f'_scope_ is {value!r}')
            if key == 'from_file' or isinstance(value, str) and value.strip().endswith('.py'):
                raise ValueError(f'{key} names a file: {value!r}')


def _check_numbers(found: Dict[str, Any], checkpoint: Mapping) -> None:
    """Raise ValueError for numbers that no model of these weights can have, but that would take all memory."""
    weights = checkpoint.get('state_dict')
    shapes = [value.shape for value in weights.values() if hasattr(value, 'shape')] if isinstance(weights, dict) else []
    widest = max([len(shapes), *(side for shape in shapes for side in shape)])
    parts = (found['model'], found['test_dataloader']['dataset']['pipeline'])
    for key, value in (entry for part in parts for entry in _entries(part)):
        limit = widest if shapes and str(key).endswith(('channels', 'num_stages')) else LARGEST
        if isinstance(value, int) and value > limit:
            raise ValueError(f'{key or "a list"} holds {value}, more than {limit}')


def _needed(found: Dict[str, Any]) -> Dict[str, Any]:
    dataset = found['test_dataloader']['dataset']
    kept = {name: value for name, value in found.items() if name in ('default_scope', 'category')}
    kept['model'] = _without(found['model'], 'init_cfg')  # the weights come from the checkpoint
    kept['test_dataloader'] = dict(dataset=dict(pipeline=list(dataset['pipeline'])))
    if isinstance(dataset.get('type'), str) and dataset['type'] in _registered(mmpose_registry.DATASETS) and (
            not dataset.get('metainfo')):
        kept['test_dataloader']['dataset']['type'] = dataset['type']  # whose class names the keypoints
    visualizer = found.get('visualizer')
    if isinstance(visualizer, dict) and _base_name(visualizer.get('type')) == VISUALIZER:
        kept['visualizer'] = {key: value for key, value in visualizer.items()
                              if key == 'type' or isinstance(value, (int, float))}
    return kept


def _registered(registry: Registry) -> Set[str]:
    """Names of the classes that mmengine, mmpose and this package have in a registry, with and without scope."""
    names: Set[str] = set()
    for level in filter(None, (registry.parent, registry)):
        level.import_from_location()
        children = [child for scope, child in level.children.items() if scope in SCOPES]
        for child in children:
            child.import_from_location()
        names.update(name for name in level.module_dict if '.' not in name)
        names.update(f'{one.scope}.{name}' for one in (level, *children) for name in one.module_dict)
    return names


def _base_name(name: object) -> str:
    """A class's name without one of :data:`SCOPES`."""
    scope, _, base = str(name).rpartition('.')
    return base if scope in ('', *SCOPES) else str(name)


def _without(part: Any, name: str) -> Any:
    """A copy of nested data without the entries called ``name``."""
    if isinstance(part, dict):
        return {key: _without(value, name) for key, value in part.items() if key != name}
    if isinstance(part, (list, tuple)):
        return type(part)(_without(value, name) for value in part)
    return part


def _entries(part: Any) -> Iterator[tuple]:
    """All keys and values in nested data; the items of a list come under the key of the list."""
    items = part.items() if isinstance(part, dict) else [(None, value) for value in part]
    for key, value in items:
        yield key, value
        if isinstance(value, (dict, list, tuple)):
            yield from _entries(value)


def other_crops(checkpoint: Mapping, model: nn.Module, name: object) -> Optional[str]:
    """Say that a model takes crops of another size than a checkpoint was trained on.

    The weights of a convolutional network fit crops of any size, but its predictions are only as good on those of its
    training.

    Args:
        checkpoint: Content of the file.
        model: The model that takes the weights.
        name: Name of the file, for the message.

    Returns:
        A sentence; ``None`` if the sizes are the same, or one of them is not known.
    """
    trained = _codec(checkpoint).get('input_size') if isinstance(checkpoint, Mapping) else None
    decoder = getattr(getattr(model, 'head', None), 'decoder', None)
    own = getattr(decoder, 'input_size', None)
    if own is None or not _is_size(trained) or tuple(trained) == tuple(own):
        return None
    return (f'checkpoint {name} was trained on crops of {trained[0]} x {trained[1]} px, but the config\'s codec has '
            f'input_size {own[0]} x {own[1]}: predictions are best on crops of the training\'s size')


def other_codec(checkpoint: Mapping, model: nn.Module) -> Optional[str]:
    """The settings in which a model's codec differs from that in the config of a checkpoint; ``None`` if in none."""
    decoder = getattr(getattr(model, 'head', None), 'decoder', None)
    differ = [f'{key}={getattr(decoder, key)} (the checkpoint: {value})' for key, value in _codec(checkpoint).items()
              if hasattr(decoder, key) and repr(_as_lists(value)) != repr(_as_lists(getattr(decoder, key)))]
    return ', '.join(differ) or None


def _as_lists(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _is_size(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(side, int) for side in value)


def _codec(checkpoint: Mapping) -> dict:
    """The codec in the config that a checkpoint carries; empty if it has none that can be read."""
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    try:
        return dict(parse_plain(text, ('model', ))['model']['head']['decoder'])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
