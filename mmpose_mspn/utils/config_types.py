"""What config dicts name: classes, their arguments, and the datasets inside of datasets with their pipelines."""
from contextlib import contextmanager
from inspect import isclass, signature
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

import torch
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry
from mmpose.registry import MODELS

from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.errors import ConfigError, UserError

REGISTRIES = [entry for entry in vars(mmpose_registry).values() if isinstance(entry, Registry)]
"""Where mmpose looks for what a config names."""
Step = Tuple[str, dict]
"""A step of a pipeline, behind its name with dots, such as ``train_dataloader.dataset.pipeline.3``."""
OF_OTHER_LIBRARIES = ('Albumentation', )
"""Steps whose ``transforms`` are not classes of a registry."""


def type_name(config: Mapping) -> str:
    """Name of the class that a config dict builds, without its scope; empty if it names none.

    A config may give the class itself in place of its name.
    """
    named = config.get('type')
    return named.split('.')[-1] if isinstance(named, str) else getattr(named, '__name__', '')


def registered_class(named: Union[str, type, None], registry: Registry = MODELS,
                     scope: Optional[str] = None) -> Optional[type]:
    """The class behind the ``type`` of a config; ``None`` for a name that is not registered.

    Args:
        named: The ``type``: a name, or the class itself.
        registry: One of mmpose's registries.
        scope: Scope of a name that has none; the default is the current default scope.
    """
    if isinstance(named, str):
        with registry.switch_scope_and_registry(scope) as current:
            named = current.get(named)
    return named if isclass(named) else None


class Wrapper(NamedTuple):
    """A dataset around others.

    Attributes:
        name: Its name with dots in the config.
        config: Its config.
        steps_before: Number of steps that a sample has passed when it reaches this dataset.
    """
    name: str
    config: Mapping
    steps_before: int


class InnerDataset(NamedTuple):
    """A dataset that reads files itself.

    Attributes:
        name: Its name with dots in the config, such as ``train_dataloader.dataset.datasets.0``.
        config: Its config.
        steps: The steps that a sample of it passes: those of its own pipeline, then those of the datasets around it.
            Steps inside of steps follow the step that holds them.
        around: The datasets around it, the closest first.
    """
    name: str
    config: dict
    steps: List[Step]
    around: List[Wrapper]

    def built(self, outermost: object) -> Any:
        """The dataset itself inside of the built dataset of its loader."""
        for part in self.name.split('.')[2:]:
            outermost = outermost[int(part)] if part.isdigit() else getattr(outermost, part)
        return outermost


def inner_datasets(dataset: Optional[Mapping], name: str) -> Iterator[InnerDataset]:
    """The datasets that a config's dataset consists of: itself, or those that it repeats, joins or combines.

    ``CombinedDataset`` (whose parts are the sources of a ``MultiSourceSampler``), ``ConcatDataset``, ``RepeatDataset``
    and others hold them as ``dataset`` or ``datasets``, in any nesting.

    Args:
        name: Its name with dots.
    """
    return _inner(dataset, name, [])


def _inner(dataset: Optional[Mapping], name: str, around: List[Step]) -> Iterator[InnerDataset]:
    """:func:`inner_datasets` of a dataset and those ``around`` it, the closest first."""
    if not isinstance(dataset, Mapping) or not dataset:
        return
    parts = [(f'{name}.dataset', dataset.get('dataset'))]
    parts += [(f'{name}.datasets.{index}', part) for index, part in enumerate(dataset.get('datasets') or ())]
    if not any(part for _, part in parts):
        steps, wrappers = list(_steps(dataset.get('pipeline'), f'{name}.pipeline')), []
        for wrapper_name, wrapper in around:
            wrappers.append(Wrapper(wrapper_name, wrapper, len(steps)))
            steps += _steps(wrapper.get('pipeline'), f'{wrapper_name}.pipeline')
        yield InnerDataset(name, dataset, steps, wrappers)
    for part_name, part in parts:
        yield from _inner(part, part_name, [(name, dataset), *around])


def _steps(node: object, name: str) -> Iterator[Step]:
    """The steps in nested lists, each followed by those of its ``transforms``."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _steps(item, f'{name}.{index}')
    elif isinstance(node, Mapping):
        yield name, node
        if type_name(node) not in OF_OTHER_LIBRARIES:
            yield from _steps(node.get('transforms'), f'{name}.transforms')


def parts_with_types(node: object, name: str) -> Iterator[Tuple[str, Mapping]]:
    """All dicts with a ``type`` in nested dicts and lists, with their names with dots."""
    if isinstance(node, Mapping):
        if 'type' in node:
            yield name, node
        for key, value in node.items():
            yield from parts_with_types(value, f'{name}.{key}'.lstrip('.'))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from parts_with_types(value, f'{name}.{index}')


def class_of_any_registry(named: object) -> Optional[Any]:
    """The class or the function that one of mmpose's registries has under a name; ``None`` if none has it."""
    if not isinstance(named, str):
        return named
    for registry in REGISTRIES:
        with registry.switch_scope_and_registry('mmpose') as current:
            registered = current.get(named)
        if registered is not None:
            return registered
    return None


def arguments_of(*built: Any) -> Set[str]:
    """Names of the arguments of classes or functions."""
    names: Set[str] = set()
    for item in built:
        try:
            names.update(signature(item).parameters)
        except (ValueError, TypeError):  # a class of Python itself
            continue
    return names - {'self', 'args', 'kwargs'}


@contextmanager
def building(name: str, part: object, path: Optional[str] = None) -> Iterator[None]:
    """In a ``with`` block that builds a part of a config, turn errors of other libraries into ConfigErrors.

    Args:
        name: Name of the part with dots.
        part: The part, or all of the config.
        path: Name of ``part`` with dots, empty for all of the config; the default is ``name``.

    Raises:
        ConfigError: The block failed. The message names the class or the argument that does not exist, with those that
            resemble it, or repeats what the library says. Errors of users, of files and of memory stay what they are.
    """
    try:
        yield
    except (UserError, OSError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        wrong_name = _wrong_name(name if path is None else path, part, error, text)
        raise ConfigError(wrong_name or f'{name} cannot be built: {type(error).__name__}: {text}') from error


def _wrong_name(name: str, part: object, error: Exception, text: str) -> str:
    """What to say of a class or an argument that does not exist and that an error speaks of; else empty."""
    for where, node in parts_with_types(part, name):
        built = class_of_any_registry(node['type'])
        if built is None and str(node['type']) in text:
            return f'{where}: there is no class {node["type"]!r}{near_matches(node["type"], _known_classes())}'
        if built is not None and isinstance(error, TypeError):
            arguments = arguments_of(*(built.__mro__ if isclass(built) else [built]))
            for argument in node.keys() - arguments - {'type'}:
                if f"'{argument}'" in text:
                    return (f'{where}: {type_name(node)} has no argument {argument!r}'
                            f'{near_matches(argument, arguments)}')
    return ''


def _known_classes() -> Set[str]:
    """Names of the classes in mmpose's registries, in those above them, and with their scopes in those below."""
    names: Set[str] = set()
    for registry in REGISTRIES:
        for level in filter(None, (registry.parent, registry)):
            names.update(level.module_dict)
            names.update(f'{scope}.{name}' for scope, child in level.children.items() for name in child.module_dict)
    return names
