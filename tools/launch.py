#!/usr/bin/env python3
"""Start the processes of dist_train.sh and dist_test.sh: torchrun, whose own errors are one line.

The arguments are those of torchrun. A process that fails has said why already, so the traceback of its launcher would
only hide that. With --debug, or MMPOSE_MSPN_DEBUG, it is shown.
"""
import logging
import os
import re
import signal
import sys

from torch import distributed
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

UNMET = (ValueError, *(getattr(distributed, name, RuntimeError) for name in ('DistNetworkError', 'DistStoreError')))
"""Errors of processes that do not find each other; torch 2.1 raises the class that newer versions derive them from."""
BY_DEVICES = ('auto', 'cpu', 'gpu', 'xpu')
"""Words in place of the number of processes, which torchrun knows."""


def main() -> int:
    arguments = parse_args(sys.argv[1:])
    if not (arguments.nproc_per_node in BY_DEVICES or re.fullmatch('[1-9][0-9]*', arguments.nproc_per_node)):
        return say(f'the number of processes must be a whole number >= 1, got {arguments.nproc_per_node}', 2)
    if '--debug' in sys.argv or os.environ.get('MMPOSE_MSPN_DEBUG', '') not in ('', '0'):
        run(arguments)
        return 0
    logging.disable(logging.ERROR)  # the launcher's own: a report of the failed process, and a line per stopped one
    try:
        run(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return say(f'process {rank} of the launch ended with {ending(failure.exitcode)}', failure.exitcode)
    except SignalException as error:
        return say(f'the launch was ended by {error.sigval.name}', -error.sigval)
    except UNMET as error:
        reason = str(error).splitlines()[0]
        return say(f'the processes cannot meet at {arguments.master_addr}:{arguments.master_port} ({reason}): set '
                   'MASTER_ADDR and PORT to a machine and to a port of it that is free', 1)
    return 0


def ending(code: int) -> str:
    return f'exit code {code}' if code >= 0 else f'Signal {-code} ({signal.Signals(-code).name})'


def say(line: str, code: int) -> int:
    """Print the line; returns the exit code of a process, as shells report it if a signal (< 0) ended it."""
    print(f'error: {line}', file=sys.stderr, flush=True)
    return code if code >= 0 else 128 - code


if __name__ == '__main__':
    sys.exit(main())
