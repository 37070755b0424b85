"""Runs that tests start as processes of their own.

An interpreter needs five seconds for its imports, so :func:`python` forks this one, which has them. The process still
has a folder, environment, arguments, output, exit code and singletons of mmengine of its own.
"""
import io
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from tests.places import ROOT

SECONDS = 300


def environment() -> Dict[str, str]:
    """Environment variables: this interpreter, one thread, a free port, a path on which configs find ``tests``,
    and no GPU where there is only one."""
    hidden = {}
    if torch.cuda.device_count() == 1:
        hidden['CUDA_VISIBLE_DEVICES'] = ''  # two processes cannot share one GPU, so they run on the CPU
    return dict(os.environ, **hidden, PYTHON=sys.executable, PYTHONWARNINGS='ignore', PORT=str(_free_port()),
                OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def python(*arguments: object, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess:
    """Run ``python FILE ...`` or ``python -c CODE ...`` in a process of its own, and wait for its end.

    Args:
        arguments: The command line after ``python``; of its options only ``-c`` is known.
        cwd: The process's folder.
        variables: Environment variables, in addition to :func:`environment`.
    """
    done, = processes([arguments], cwd, [variables])
    return done


def two_processes(*arguments: object, **variables: str) -> List[subprocess.CompletedProcess]:
    """Run a command as the two processes of a distributed run on this machine, as torchrun would start them."""
    group = dict(variables, WORLD_SIZE='2', LOCAL_WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                 MASTER_PORT=str(_free_port()))
    return processes([arguments] * 2, ROOT, [dict(group, RANK=rank, LOCAL_RANK=rank) for rank in '01'])


def processes(commands: Sequence[Sequence[object]], cwd: Path = ROOT,
              variables: Optional[Sequence[dict]] = None) -> List[subprocess.CompletedProcess]:
    """Run commands of :func:`python` at the same time."""
    started = [Started(command, cwd, own) for command, own in zip(commands, variables or [{}] * len(commands))]
    return [one.finish() for one in started]


class Started:
    """A process that runs a command of :func:`python`.

    Args:
        command: See :func:`python`.
        cwd: The process's folder.
        variables: Environment variables, in addition to :func:`environment`.
    """

    def __init__(self, command: Sequence[object], cwd: Path = ROOT, variables: Optional[dict] = None) -> None:
        self.command = [str(part) for part in command]
        self.outputs = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  finish() closes them
        env = dict(environment(), **(variables or {}))
        self.is_forked = not torch.cuda.is_available()  # CUDA does not survive a fork
        if self.is_forked:
            self.process = multiprocessing.get_context('fork').Process(
                target=_main, args=(self.command, cwd, env, self.outputs))
            self.process.start()
        else:
            self.process = subprocess.Popen([sys.executable, *self.command], cwd=cwd, env=env,
                                            stdout=self.outputs[0], stderr=self.outputs[1])

    def is_running(self) -> bool:
        return self.process.is_alive() if self.is_forked else self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()

    def finish(self) -> subprocess.CompletedProcess:
        """Wait for the end; returns the exit code, which is -9 after :meth:`kill`, and the output."""
        if self.is_forked:
            self.process.join(SECONDS)
            code = self.process.exitcode
        else:
            code = self.process.wait(SECONDS)
        if code is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.command, SECONDS)
        texts = []
        for file in self.outputs:
            with file:
                file.seek(0)
                texts.append(file.read().decode(errors='replace'))
        return subprocess.CompletedProcess(self.command, code, *texts)


def _main(command: List[str], cwd: Path, env: Dict[str, str], outputs: tuple) -> None:
    """What the forked process does; its exit code is that of an interpreter."""
    for number, (name, file) in enumerate(zip(('stdout', 'stderr'), outputs), 1):
        os.dup2(file.fileno(), number)
        setattr(sys, name, io.TextIOWrapper(os.fdopen(number, 'wb', closefd=False), line_buffering=True))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)  # the threads of this process did not survive the fork
    for kind in (MMLogger, MessageHub, DefaultScope, Visualizer):
        kind._instance_dict.clear()
    code = exit_code(lambda: _run(command))
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def exit_code(body: Callable[[], object], see: Callable[[BaseException], object] = lambda error: None) -> int:
    """Do the work, print what an interpreter prints at its end, and return the exit code that it would have.

    Args:
        body: The work.
        see: Gets the error that the work ended with, if there is one, also where a tool has answered it in a line.
    """
    try:
        body()
    except SystemExit as end:
        if end.__context__ is not None:
            see(end.__context__)
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        see(error)
        traceback.print_exc()
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _run(command: List[str]) -> None:
    if command[0] != '-c':
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).resolve().parent))
        runpy.run_path(command[0], run_name='__main__')
        return
    sys.argv = ['-c', *command[2:]]
    sys.path.insert(0, '')
    module = sys.modules['__main__'] = types.ModuleType('__main__')
    exec(compile(command[1], '<string>', 'exec'), vars(module))
