"""What all tools share: parsers that name near matches, and how a run ends."""
import argparse
import logging
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from types import FrameType
from typing import Callable, Optional, Sequence

import torch
from mmengine.config import DictAction

from mmpose_mspn.checkpoints.reader import use_safe_loading
from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.errors import UserError
from mmpose_mspn.utils.files import FULL

DEBUG = 'MMPOSE_MSPN_DEBUG'
"""Environment variable that makes the tools show tracebacks, unless it is empty or 0."""

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells report it."""
ENDS = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]
"""Signals that end a tool: of schedulers, and of a terminal that is closed (not on Windows)."""
OUT_OF_MEMORY = (MemoryError, torch.cuda.OutOfMemoryError)
LONGEST = 480
"""Characters of a message; what is longer is cut, and shown with ``--debug``."""


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
            mistyped = [argument.split('=')[0] for argument in unknown if argument.startswith('-')]
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
    """A signal of :data:`ENDS` was received."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number  # as shells report it


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit.

    The exit code is what ``main`` returns, or 1 after an error. A :class:`~mmpose_mspn.utils.errors.UserError`, an
    ``OSError`` and the lack of memory are shown in one line on stderr; with ``--debug``, and for other errors, a
    traceback is shown. The processes of a distributed run are numbered in it. The signals of :data:`ENDS` end a tool as
    Ctrl-C does: files that are not complete are removed. mmengine reads all checkpoints without running code from them.
    """
    _raise_on_signals()
    use_safe_loading()
    # mmpose and mmengine import it.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
    if not _debug():
        logging.raiseExceptions = False  # a log on a full disk would print a traceback for each line
    try:
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
        if _debug() or not (stop or isinstance(error, (UserError, OSError, *OUT_OF_MEMORY))):
            raise
        line = one_line(error)
        traceback.clear_frames(error.__traceback__)
        if stop:
            code = _say_stopped(stop)
        else:
            _say(f'error: {line}')
            sys.exit(1)  # within the handler, so that the exit has the error as its context
    sys.exit(code)


def one_line(error: BaseException) -> str:
    """The message of an error as one line of at most :data:`LONGEST` characters."""
    text = str(error)
    if 'Original Traceback' in text:  # of a data worker, whose message torch puts behind its traceback
        text = _last_message(text)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f'{error.filename}: {error.strerror}'
    elif isinstance(error, OSError) and error.errno in FULL:
        text = f'a file cannot be written ({error.strerror}): free space on the disks of results and of temporary files'
    elif isinstance(error, OUT_OF_MEMORY):
        text = (f'memory is used up ({text.split(". ")[0] or type(error).__name__}): process fewer at once '
                '(batch_size, --batch-size, num_workers), or train with --low-memory')
    text = ' '.join(text.split()) or type(error).__name__
    return text if len(text) <= LONGEST else f'{text[:LONGEST]}… (--debug shows all)'


def _last_message(text: str) -> str:
    """The message of the last exception of a traceback."""
    lines = text.rstrip().splitlines()
    starts = [index for index, line in enumerate(lines) if re.match(r'[\w.]+(Error|Exception)\b', line)]
    return re.sub(r'^[\w.]+: ', '', '\n'.join(lines[starts[-1] if starts else 0:]))


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
    if threading.current_thread() is not threading.main_thread() or _is_launched():
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


def _is_launched() -> bool:
    """Whether a launcher has started several processes; a variable that is no number is not one of a launcher."""
    size = os.environ.get('WORLD_SIZE', '')
    return size.isdecimal() and int(size) > 1


def _debug() -> bool:
    return os.environ.get(DEBUG, '') not in ('', '0')


def _say(line: str) -> None:
    rank = f'[rank {os.environ["RANK"]}] ' if _is_launched() else ''
    print(rank + line, file=sys.stderr, flush=True)
