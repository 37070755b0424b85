"""Commands of a case as processes of their own, forked from one that has imported everything.

Starting an interpreter for each command would take six seconds of imports. A forked process differs from that only in
what is imported; it has its own working directory, environment, output, limits, signals and exit code.
"""
import importlib
import logging
import os
import resource
import runpy
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, Optional, Sequence, Tuple

from mmengine.config import Config

from tests.bad_inputs.case import Case, Command, Outcome, Place
from tests.launching import exit_code
from tests.places import ROOT

TIMEOUT = 240
"""Seconds after which a command counts as hung."""
HUNG = -1
"""Its exit code."""
TOOLS = ROOT / 'tools'
IMPORTED = ('mmpose_mspn', 'mmpose.apis', 'mmpose.models', 'mmpose.datasets', 'mmengine.runner', 'mmengine.optim',
            'mmpose.visualization', 'mmpose.evaluation', 'mmpose.engine', 'mmpose_mspn.apis.demo',
            'mmpose_mspn.apis.inference', 'mmpose_mspn.new_dataset', 'scipy.io', 'torch.distributed.run')


def warm_up() -> None:
    """Import what the tools import."""
    for name in IMPORTED:
        importlib.import_module(name)
    # mmpose loads its metric's helpers when they are first used.
    with suppress(ImportError):
        importlib.import_module('xtcocotools.cocoeval')
    logging.getLogger('mmengine').handlers.clear()
    # yapf keeps its grammar in a file, which several processes would write at once.
    Config(dict(a=1)).pretty_text  # noqa: B018


def run(command: Command, place: Place, case: Case, last: bool) -> Outcome:
    """Run a command of a case, with the case's limits and signals if it is the last."""
    arguments = [place.fill(argument) for argument in command]
    # Pipes, because a limit on the size of files would cut what is said.
    pipes = [os.pipe(), os.pipe(), os.pipe()]
    pid = fork(lambda: _become(arguments, place, case, last), [write for _, write in pipes])
    for read, write in pipes:
        os.close(write)
        os.set_blocking(read, False)
    outputs = [Output(read) for read, _ in pipes]
    code = _wait(pid, case.signal if last else None, outputs)
    out, error, raised = (output.close() for output in outputs)
    return Outcome(code, out, error, raised.split())


@contextmanager
def at_work(case: Case, place: Place) -> Iterator[None]:
    """Keep the command that a case has beside its last one at work during the block.

    Raises:
        RuntimeError: It ends by itself.
    """
    if case.beside is None:
        yield
        return
    command, shown = case.beside
    arguments, log = [place.fill(argument) for argument in command], place.here / 'beside.txt'
    with open(log, 'wb') as file:
        pid = fork(lambda: _become(arguments, place, case, last=False), [file.fileno(), file.fileno()])
    end = time.monotonic() + TIMEOUT
    try:
        while shown not in log.read_text(errors='replace'):
            if os.waitpid(pid, os.WNOHANG)[0] or time.monotonic() > end:
                raise RuntimeError(f'{command} is not at work: {log.read_text(errors="replace")[-1000:]}')
            time.sleep(0.05)
        yield
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise RuntimeError(f'{command} ended: {log.read_text(errors="replace")[-1000:]}')
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


class Output:
    """What a process has written to a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.content = descriptor, b''

    def read(self) -> str:
        """Everything so far."""
        with suppress(BlockingIOError):
            while part := os.read(self.descriptor, 65536):
                self.content += part
        return self.content.decode(errors='replace')

    def close(self) -> str:
        """Everything."""
        text = self.read()
        os.close(self.descriptor)
        return text


def fork(body: Callable[[], object], outputs: Sequence[int]) -> int:
    """Run ``body`` in a child process with a session of its own, and exit as an interpreter would.

    Args:
        body: What it does.
        outputs: Descriptors of its stdout and stderr, and of what gets the names of its error's classes, if asked for.

    Returns:
        Its id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        for number, output in enumerate(outputs[:2], 1):
            os.dup2(output, number)
        code = exit_code(body, lambda error: [os.write(output, _classes_of(error)) for output in outputs[2:]])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _classes_of(error: BaseException) -> bytes:
    """The names of an error's classes, the closest first."""
    return ' '.join(cls.__name__ for cls in type(error).__mro__).encode()


def _become(arguments: Command, place: Place, case: Case, last: bool) -> None:
    """Turn this process into that of a command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ.update(case.env, PYTHON=sys.executable)
    os.chdir(place.fill(case.cwd) if case.cwd else place.here)
    if last and case.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.file_limit, case.file_limit))
    tool = arguments[0]
    if tool.startswith(('tests.', 'mmpose_mspn')):
        sys.argv = [tool, *arguments[1:]]
        runpy.run_module(tool, run_name='__main__', alter_sys=True)
        return
    path = TOOLS / tool if '.' in tool else TOOLS / f'{tool}.py'
    if path.suffix == '.sh':
        os.execv(path, [str(path), *arguments[1:]])
    sys.argv = [str(path), *arguments[1:]]
    sys.path.insert(0, str(TOOLS))
    runpy.run_path(str(path), run_name='__main__')


def _wait(pid: int, signaled: Optional[Tuple[int, str]], outputs: Sequence[Output]) -> int:
    """The exit code of a process, to which a signal may be sent when its output shows a text."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        said = [output.read() for output in outputs]
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if signaled is not None and any(signaled[1] in text for text in said):
            number, signaled = signaled[0], None
            # A terminal sends Ctrl-C to the whole group, a scheduler stops the process it has started.
            (os.killpg if number == signal.SIGINT else os.kill)(pid, number)
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return HUNG
