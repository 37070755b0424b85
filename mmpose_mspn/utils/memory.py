"""How much memory a process may still take before the system would have to end one."""
import math
import os.path as osp
from typing import Iterator, NamedTuple, Optional


class _Group(NamedTuple):
    """Where a version of Linux's control groups keeps its files, and what it calls them."""
    controller: str  # in /proc/self/cgroup; version 2 has none
    folder: str
    limit: str
    usage: str
    freeable: str  # the name, in memory.stat, of cached parts of files that can be dropped at once


VERSIONS = (_Group('', '', 'memory.max', 'memory.current', 'inactive_file'),
            _Group('memory', 'memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'))


def available_memory(proc: str = '/proc', groups: str = '/sys/fs/cgroup') -> float:
    """Bytes of memory that are available to this process, by the machine and by its control groups.

    Containers and schedulers such as slurm limit the memory of a control group. A process of the group is ended when
    the limit is exceeded, whatever the machine has left.

    Args:
        proc: Folder of the ``proc`` file system.
        groups: Folder of the ``cgroup`` file systems.

    Returns:
        The bytes; infinity where the system does not tell.
    """
    available = _number_in(osp.join(proc, 'meminfo'), 'MemAvailable:')
    return min([math.inf if available is None else 1024. * available, *_left_in_groups(proc, groups)])


def _left_in_groups(proc: str, groups: str) -> Iterator[float]:
    """Bytes that each of the process's groups, and each group around it, has left."""
    for line in _text(osp.join(proc, 'self/cgroup')).splitlines():
        _, controllers, path = line.split(':', 2)
        for version in VERSIONS:
            if version.controller not in controllers.split(','):
                continue
            root = osp.join(groups, version.folder)
            for folder in _upwards(path):
                left = _left(osp.join(root, folder), version)
                if left is not None:
                    yield left


def _upwards(path: str) -> Iterator[str]:
    """A path without its first slash, and the folders around it; the last one is empty."""
    path = path.strip('/')
    while path:
        yield path
        path = osp.dirname(path)
    yield ''


def _left(folder: str, version: _Group) -> Optional[float]:
    limit, usage = (_text(osp.join(folder, name)).strip() for name in (version.limit, version.usage))
    if not limit.isdigit() or not usage.isdigit():  # no limit, or no such group
        return None
    freeable = _number_in(osp.join(folder, 'memory.stat'), version.freeable) or 0
    return max(0., float(limit) - float(usage) + freeable)


def _number_in(path: str, name: str) -> Optional[int]:
    """The number behind a name, both separated by spaces, in a file with such lines."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return int(words[1])
    return None


def _text(path: str) -> str:
    """Content of a file; empty if there is none."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''
