"""Errors in one line: which of them the user has caused, and what is said about them."""
import inspect
import os
import pickle
import re
import traceback
from types import TracebackType
from typing import List, Optional, Tuple

from mmengine.registry import Registry
from mmpose import registry as mmpose_registry

from mmpose_mspn.engine.hooks import NonFiniteLossError
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.files import FULL

LONGEST = 480
"""Characters of a message; what is longer is cut, and shown with ``--debug``."""

OF_USERS = (ValueError, OSError, ImportError, NonFiniteLossError, pickle.UnpicklingError)
"""Errors that inputs cause. Errors of other types are mistakes in code, unless they arise while a config is read."""
BUILDS = '/mmengine/registry/build_functions.py'
"""Where mmengine builds what a config names."""
BY_OLD_MMENGINE = re.compile(r'^(class `[\w.]+` in [\w./-]+: )+')
"""What mmengine below 0.8.3 puts before the message of a class that it builds."""
READS_CONFIGS = re.compile(r'/mmengine/(config|registry|runner/runner\.py)|/mmengine/optim/')
OF_LIBRARIES = re.compile(r'/(mmengine|mmcv|mmpose|mmdet)/')
MESSAGES = re.compile(r'out of memory|is killed by signal|PytorchStreamWriter|No space left|'
                      r'unexpected keyword argument|missing \d+ required|'
                      r'central directory|invalid device|DefaultCPUAllocator')
"""Messages of errors of other types that inputs, disks and memory cause."""


def is_of_user(error: BaseException) -> bool:
    """Whether an error was caused by what the user gave, not by a mistake in code."""
    if isinstance(error, OF_USERS) or MESSAGES.search(str(error)):
        return True
    place = _innermost_file(error.__traceback__)
    if READS_CONFIGS.search(place) or _built_part(error):
        return True
    return isinstance(error, AssertionError) and bool(str(error)) and bool(OF_LIBRARIES.search(place))


def _innermost_file(trace: Optional[TracebackType]) -> str:
    frames = traceback.extract_tb(trace)
    return frames[-1].filename.replace(os.sep, '/') if frames else ''


def _built_part(error: BaseException) -> Optional[Tuple[type, dict]]:
    """Class and arguments of the innermost part of a config that raised an error while it was built.

    None for errors of other moments, and of those parts that read data.
    """
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.replace(os.sep, '/').endswith(BUILDS):
            local = trace.tb_frame.f_locals
            if inspect.isclass(local.get('obj_cls')):
                found = local['obj_cls'], dict(local.get('args') or {})
        trace = trace.tb_next
    return found


def one_line(error: BaseException) -> str:
    """The message of an error as one line of at most :data:`LONGEST` characters.

    It has near matches for a name that no registry and no class has, and names the part of a config that cannot be
    built.
    """
    text = _message(error)
    part = _built_part(error)
    if part and not isinstance(error, OF_USERS):
        text = _unbuilt(*part, error, text)
    return text if len(text) <= LONGEST else f'{text[:LONGEST]}… (--debug shows all)'


def _unbuilt(built: type, arguments: dict, error: BaseException, text: str) -> str:
    """Message of an error that a class raised about the arguments that a config gives it."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unknown and isinstance(error, TypeError):
        return f'{built.__name__} has no argument {unknown[1]!r}{near_matches(unknown[1], _parameters(built))}'
    given = ', '.join(f'{name}={value!r}' for name, value in arguments.items()
                      if isinstance(value, (int, float, str, list, tuple)))
    shown = given if len(given) <= LONGEST // 4 else f'{given[:LONGEST // 4]}…'
    return f'{built.__name__} cannot be built from {shown or "the config"}: {type(error).__name__}: {text}'


def _parameters(built: type) -> List[str]:
    return [name for name in inspect.signature(built).parameters if name not in ('args', 'kwargs')]


def _message(error: BaseException) -> str:
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = str(message)
    if 'Original Traceback' in text:  # of a data worker
        text = re.sub(r'^\w*(Error|Exception): ', '', _last_exception(text))
    text = BY_OLD_MMENGINE.sub('', ' '.join(text.split()))
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f'{error.filename}: {error.strerror}'
    elif isinstance(error, OSError) and error.errno in FULL:
        text = f'a file cannot be written ({error.strerror}): free space on the disks of results and of temporary files'
    if isinstance(error, KeyError) and not error.args[1:] and re.fullmatch(r'[\w.]+', text):
        text = f'the config lacks {text!r}'
    missing = re.match(r"'?([\w.]+) is not in the ([\w:.-]+) registry", text)
    if missing:
        hint = near_matches(missing[1], _registered(missing[2]))
        text = f'there is no {missing[2].split("::")[-1]} {missing[1]!r}{hint}'
    return text or type(error).__name__


def _last_exception(text: str) -> str:
    """The last exception of a traceback, with the lines of its message."""
    lines = text.rstrip().splitlines()
    start = max((index for index, line in enumerate(lines) if re.match(r'[\w.]+(Error|Exception)\b', line)), default=0)
    return ' '.join(lines[start:])


def _registered(registry: str) -> List[str]:
    """Names of the classes in a registry, such as ``mmpose::model``, its parents and its children."""
    name = registry.split('::')[-1]
    names: List[str] = []
    for one in vars(mmpose_registry).values():
        if isinstance(one, Registry) and one.name == name:
            for level in filter(None, (one.parent, one)):
                names += list(level.module_dict)
                names += [f'{scope}.{known}' for scope, child in level.children.items() for known in child.module_dict]
    return names
