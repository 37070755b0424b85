"""A file without a name that the processes of a user on a machine share, in memory or on a disk.

The system frees it when the last process that has opened it ends, in whatever way it ends, so nothing remains of
processes that are killed. Processes find it through ``/proc/PID/fd``: those that were started by one that has it know
its place, and others read the place from a small file, which the first of them writes (:class:`_MeetingPlace`). If that
file is left behind by a process that was killed, it names a file that is not open any more, and is written again.
"""
import hashlib
import json
import os
import os.path as osp
import tempfile
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import IO, Callable, Iterator, NamedTuple, Optional

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

ATTEMPTS, PAUSE = 50, 1e-3
"""How often, and after how many seconds, a lock is tried."""
IN_MEMORY = '/dev/shm'
"""A folder in memory on every Linux, and the same one for all processes."""


class Address(NamedTuple):
    """Where other processes find a file that a process has open."""
    pid: int
    descriptor: int
    device: int
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> 'Address':
        status = os.fstat(descriptor)
        return cls(os.getpid(), descriptor, status.st_dev, status.st_ino)

    def open(self) -> Optional[int]:
        """Open the file; ``None`` if the process has ended or has closed it."""
        path = f'/proc/{self.pid}/fd/{self.descriptor}'
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) != (self.device, self.inode):
                return None
            return os.open(path, os.O_RDWR)
        except OSError:
            return None


class SharedFile:
    """A file that all processes share which give the same name and folder.

    It can be pickled and used after a fork; every process opens it for itself.

    Args:
        name: Tells it from other shared files.
        folder: Folder on a disk of this machine in which it takes space; ``None`` for memory.
        prepare: Called with the descriptor of a new file, before other processes find it.

    Raises:
        OSError: The file cannot be made, or the system is not Linux.
    """

    def __init__(self, name: str, folder: Optional[str], prepare: Callable[[int], None]) -> None:
        if fcntl is None or not osp.isdir('/proc/self/fd'):
            raise OSError('only Linux shares files without a name')
        self.folder = IN_MEMORY if folder is None and not hasattr(os, 'memfd_create') else folder
        place = _MeetingPlace(json.dumps([name, self.folder and osp.realpath(self.folder)]))
        with place.locked() as file:
            address = place.read(file)
            descriptor = address.open() if address else None
            is_new = descriptor is None
            if is_new:
                descriptor = _nameless_file(self.folder)
                _check_that_others_can_open(descriptor)
                prepare(descriptor)
                place.write(file, Address.of(descriptor))
        self._use(descriptor)
        if is_new:
            weakref.finalize(self, _leave, place, self._address)

    def _use(self, descriptor: Optional[int]) -> None:
        """Take what this process has opened."""
        self._pid, self._descriptor, self._lock = os.getpid(), descriptor, threading.Lock()
        if descriptor is not None:
            self._address = Address.of(descriptor)
            weakref.finalize(self, os.close, descriptor)

    @property
    def descriptor(self) -> Optional[int]:
        """The file in this process; ``None`` if the process from which it was inherited ended before it was opened.

        A process that was forked opens it again, because a lock by the inherited descriptor is one of both processes.
        """
        if self._pid != os.getpid():
            self._use(self._address.open())
        return self._descriptor

    def __getstate__(self) -> dict:
        return dict(folder=self.folder, _address=self._address)

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._use(self._address.open())

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether this thread of this process alone is in such a block.

        It does not wait for long, since a process that is suspended may hold the lock.
        """
        descriptor = self.descriptor
        with self._lock:
            for _ in range(ATTEMPTS):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(PAUSE)
            else:
                yield False
                return
            try:
                yield True
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def free_space(self) -> Optional[int]:
        """Bytes that are free in the file system of the folder; ``None`` without a folder."""
        if self.folder is None:
            return None
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize


class _MeetingPlace:
    """A small file that holds the address of a shared file.

    Args:
        name: Tells the shared file from others.
    """

    def __init__(self, name: str) -> None:
        folder = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else tempfile.gettempdir()
        name = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        self.path = osp.join(folder, f'mmpose_mspn-{os.geteuid()}-{name}')

    @contextmanager
    def locked(self) -> Iterator[IO[str]]:
        """The file, made if it is missing, which no other process reads or writes during the block."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with open(descriptor, 'r+', encoding='utf-8') as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                status = os.fstat(descriptor)
                if status.st_uid != os.geteuid():
                    raise PermissionError(f'{self.path} belongs to another user')
                if status.st_nlink:  # else it was removed before it was locked
                    yield file
                    return

    def read(self, file: IO[str]) -> Optional[Address]:
        try:
            return Address(*json.load(file))
        except (ValueError, TypeError):  # a new file, or one whose writer was killed
            return None

    def write(self, file: IO[str], address: Address) -> None:
        file.seek(0)
        file.truncate()
        json.dump(address, file)

    def remove(self, address: Address) -> None:
        """Remove the file, unless it holds another address."""
        with self.locked() as file:
            if self.read(file) in (address, None):
                os.unlink(self.path)


def _leave(place: _MeetingPlace, address: Address) -> None:
    """Remove the meeting place of a file, in the process that made it, not in one that was forked from it."""
    if address.pid == os.getpid():
        with suppress(OSError):
            place.remove(address)


def _check_that_others_can_open(descriptor: int) -> None:
    opened = Address.of(descriptor).open()
    if opened is None:
        os.close(descriptor)
        raise OSError('/proc does not let processes open files of each other')
    os.close(opened)


def _nameless_file(folder: Optional[str]) -> int:
    """A descriptor of a new file without a name, in a folder or in memory."""
    if folder is None:
        return os.memfd_create('mmpose_mspn')
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())
