"""What all tools share: parsers that name near matches, how a run ends, and errors in one line."""
import argparse
import inspect
import logging
import os
import pickle
import re
import signal
import sys
import threading
import traceback
from types import FrameType, TracebackType
from typing import Callable, List, Optional, Sequence, Tuple

from mmengine.config import DictAction
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry

from mmpose_mspn.engine.hooks import NonFiniteLossError
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.files import FULL
from mmpose_mspn.utils.waiting import BusyWatch

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


DEBUG = 'MMPOSE_MSPN_DEBUG'
"""Environment variable that makes the tools show tracebacks, unless it is empty or 0."""

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells report it."""
ENDS = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]
"""Signals that end a tool: of schedulers, and of a terminal that is closed (not on Windows)."""


class _Debug(argparse.Action):
    """Switches on tracebacks."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        os.environ[DEBUG] = '1'


class ToolParser(argparse.ArgumentParser):
    """A parser with ``--debug`` that names the options which resemble a mistyped one. Options cannot be shortened."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**{'allow_abbrev': False, **kwargs})
        self.add_argument('--debug', action=_Debug, nargs=0, dest=argparse.SUPPRESS, default=argparse.SUPPRESS,
                          help='show the traceback of an error')

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace=None) -> argparse.Namespace:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [option for option in self._option_string_actions if option.startswith('--')]
            mistyped = [one.split('=')[0] for one in unknown if one.startswith('-')]
            hint = near_matches(mistyped[0], options) if mistyped else ''
            self.error(f'unrecognized arguments: {" ".join(unknown)}{hint}')
        return parsed


class KeyValues(DictAction):
    """Action of ``--cfg-options``, which names an entry that is not ``key=value``."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for entry in values:
            if '=' not in entry:
                parser.error(f'argument {option_string}: {entry!r} has no value: write key=value')
            if entry.startswith('='):
                parser.error(f'argument {option_string}: {entry!r} has no key: write key=value')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:  # of brackets
            parser.error(f'argument {option_string}: {" ".join(values)}: {error}')


class Terminated(BaseException):
    """A signal of :data:`ENDS` was received.

    Args:
        number: Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number  # as shells report it


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit.

    The exit code is what ``main`` returns, or 1 after an error. An error of the user's, such as a missing file or a
    wrong value, is shown in one line on stderr; with ``--debug``, and for other errors, a traceback is shown. The
    processes of a distributed run are numbered in it. The signals of :data:`ENDS` end a tool as Ctrl-C does: files that
    are not complete are removed.
    """
    _raise_on_signals()
    if not _debug():
        logging.raiseExceptions = False  # a log on a full disk would print a traceback for each line
    try:
        with BusyWatch():
            code = main()
    except (KeyboardInterrupt, Terminated) as error:
        if _debug():
            raise
        traceback.clear_frames(error.__traceback__)  # it ends progress bars, which would be drawn behind the line
        code = _say_stopped(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would fail again when it flushes stdout
        code = 1
    except Exception as error:
        stop = _interruption(error)
        if _debug() or not (stop or is_of_user(error)):
            raise
        line = one_line(error)
        traceback.clear_frames(error.__traceback__)
        if stop:
            code = _say_stopped(stop)
        else:
            _say(f'error: {line}')
            sys.exit(1)  # within the handler, so that the exit has the error as its context
    sys.exit(code)


def _say_stopped(stop: BaseException) -> int:
    """Say how a run was stopped; returns the exit code."""
    interrupted = isinstance(stop, KeyboardInterrupt)
    _say('interrupted' if interrupted else 'terminated')
    return INTERRUPTED if interrupted else stop.code


def _interruption(error: BaseException) -> Optional[BaseException]:
    """What stopped a run, if an error was raised in place of that: mmengine's formatting of configs does this."""
    seen: Optional[BaseException] = error
    while seen is not None and not isinstance(seen, (KeyboardInterrupt, Terminated)):
        seen = seen.__context__
    return seen


def _raise_on_signals() -> None:
    """Raise :class:`Terminated` in this process when it receives one of :data:`ENDS`, unless that is ignored (nohup).

    The processes that it forks are left as they are, and so are those of a launch: there a process may wait in a
    collective operation of torch, where Python's handlers do not run, and the launcher would wait for it.
    """
    if threading.current_thread() is not threading.main_thread() or int(os.environ.get('WORLD_SIZE', 1)) > 1:
        return
    owner = os.getpid()

    def handle(number: int, frame: Optional[FrameType]) -> None:
        if os.getpid() == owner:
            raise Terminated(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in ENDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _debug() -> bool:
    return os.environ.get(DEBUG, '') not in ('', '0')


def _say(line: str) -> None:
    rank = f'[rank {os.environ["RANK"]}] ' if int(os.environ.get('WORLD_SIZE', 1)) > 1 else ''
    print(rank + line, file=sys.stderr, flush=True)
