"""What all tools share: parsers that name near matches, and errors of one line in place of tracebacks."""
import argparse
import os
import pickle
import re
import sys
import traceback
from types import TracebackType
from typing import Callable, List, Optional, Sequence

from mmengine.registry import Registry
from mmpose import registry as mmpose_registry

from mmpose_mspn.engine.hooks import NonFiniteLossError
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.waiting import BusyWatch

DEBUG = 'MMPOSE_MSPN_DEBUG'
"""Environment variable that makes the tools show tracebacks, unless it is empty or 0."""

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells report it."""

OF_USERS = (ValueError, OSError, ImportError, NonFiniteLossError, pickle.UnpicklingError)
"""Errors that inputs cause. Errors of other types are mistakes in code, unless they arise while a config is read."""
READS_CONFIGS = re.compile(r'/mmengine/(config|registry|runner/runner\.py)|/mmengine/optim/')
OF_LIBRARIES = re.compile(r'/(mmengine|mmcv|mmpose|mmdet)/')
MESSAGES = re.compile(r'out of memory|is killed by signal|PytorchStreamWriter|No space left|'
                      r'unexpected keyword argument|missing \d+ required|'
                      r'central directory|invalid device|DefaultCPUAllocator')
"""Messages of errors of other types that inputs, disks and memory cause."""


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


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit.

    The exit code is what ``main`` returns, or 1 after an error. An error of the user's, such as a missing file or a
    wrong value, is shown in one line on stderr; with ``--debug``, and for other errors, a traceback is shown. The
    processes of a distributed run are numbered in it.
    """
    try:
        with BusyWatch():
            code = main()
    except KeyboardInterrupt:
        if _debug():
            raise
        _say('interrupted')
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would fail again when it flushes stdout
        code = 1
    except Exception as error:
        if _debug() or not is_of_user(error):
            raise
        _say(f'error: {one_line(error)}')
        code = 1
    sys.exit(code)


def _debug() -> bool:
    return os.environ.get(DEBUG, '') not in ('', '0')


def _say(line: str) -> None:
    rank = f'[rank {os.environ["RANK"]}] ' if int(os.environ.get('WORLD_SIZE', 1)) > 1 else ''
    print(rank + line, file=sys.stderr, flush=True)


def is_of_user(error: BaseException) -> bool:
    """Whether an error was caused by what the user gave, not by a mistake in code."""
    if isinstance(error, OF_USERS) or MESSAGES.search(str(error)):
        return True
    place = _innermost_file(error.__traceback__)
    if READS_CONFIGS.search(place):
        return True
    return isinstance(error, AssertionError) and bool(str(error)) and bool(OF_LIBRARIES.search(place))


def _innermost_file(trace: Optional[TracebackType]) -> str:
    frames = traceback.extract_tb(trace)
    return frames[-1].filename.replace(os.sep, '/') if frames else ''


def one_line(error: BaseException) -> str:
    """The message of an error as one line, with near matches for a name that no registry has."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = str(message)
    if 'Original Traceback' in text:  # of a data worker
        text = re.sub(r'^\w*(Error|Exception): ', '', _last_exception(text))
    text = ' '.join(text.split())
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f'{error.filename}: {error.strerror}'
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
