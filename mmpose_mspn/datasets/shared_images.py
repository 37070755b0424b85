"""Decoded images that the data workers of all processes on a machine share.

They lie in one :class:`~mmpose_mspn.utils.shared_file.SharedFile`: a header, a table of entries, and the images, each
at the beginning of a memory page. An image that has been added stays, and when the limit is reached, no others are
added: a training visits all images equally often, so removing one for another would gain nothing.

Only the header and the table are changed under a lock. Whoever adds an image writes its shape last, and an entry
without a shape counts as none. A process that is killed meanwhile leaves an image that is never used.
"""
import logging
import math
import mmap
import os
import struct
from typing import NamedTuple, Optional, Tuple

import numpy as np
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmpose_mspn.utils.memory import available_memory
from mmpose_mspn.utils.shared_file import SharedFile

LAYOUT = 1
"""Number of the layout. Processes with another one do not share a file."""
RESERVE = 2**31
"""Bytes that are left free, in memory and on the disk."""
BYTES_PER_ENTRY = 2**14
"""The table has an entry for this many bytes of the limit: many more entries than there are images of a usual size."""
LEAST_ENTRIES = 1024
PROBES = 16
"""Entries among which a key is looked for."""
KEY_BYTES = 16
FREE = bytes(KEY_BYTES)
"""Key of an entry that is free."""
ENTRY = struct.Struct(f'<{KEY_BYTES}sQQ')
"""Key, offset of the image, and its shape: height << 32 | width, or 0 while the image is incomplete."""
SHAPE = struct.Struct('<Q')


class _Header(NamedTuple):
    """The first bytes of the file: how many are taken, and whether it has been said that no more images are added."""
    taken: int
    said: bool = False

    @classmethod
    def read(cls, file: int) -> '_Header':
        return cls(*HEADER.unpack(os.pread(file, HEADER.size, 0)))

    def write(self, file: int) -> None:
        os.pwrite(file, HEADER.pack(*self), 0)


HEADER = struct.Struct('<Q?')
TABLE_FROM = 64


class SharedImages:
    """Color images by keys, shared by all processes of a user on a machine that give the same limit and folder.

    Where memory, the disk or the limit has no room, images are not added, which is logged once; nothing is raised.

    Args:
        limit: Bytes that the file may have, all processes together.
        folder: Folder on a disk of this machine in which the images lie; ``None`` for memory.

    Raises:
        OSError: The file cannot be made, or the system is not Linux.
    """

    def __init__(self, limit: int, folder: Optional[str] = None) -> None:
        self.limit = limit
        self._entries = max(LEAST_ENTRIES, limit // BYTES_PER_ENTRY)
        self._images_from = _in_pages(TABLE_FROM + (self._entries + PROBES) * ENTRY.size)
        self._stopped = False
        self._shared = SharedFile(f'images {LAYOUT} {limit}', folder, self._prepare)

    def _prepare(self, file: int) -> None:
        """Write the header and an empty table."""
        os.ftruncate(file, self._images_from)
        _Header(self._images_from).write(file)

    def get(self, key: bytes) -> Optional[np.ndarray]:
        """The image (h, w, 3) uint8 of a key of 16 bytes, or ``None``.

        The array may be written to: changes stay in it, and no process finds them here.
        """
        file = self._shared.descriptor
        entry = None if file is None else self._look_up(file, key)[1]
        if entry is None or not entry[2]:
            return None
        _, offset, shape = entry
        height, width = shape >> 32, shape & 0xffffffff
        try:
            pages = mmap.mmap(file, 3 * height * width, flags=mmap.MAP_PRIVATE,
                              prot=mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
        except OSError:  # no memory for the mapping
            return None
        return np.frombuffer(pages, np.uint8).reshape(height, width, 3)

    def put(self, key: bytes, image: np.ndarray) -> None:
        """Add an image (h, w, 3) uint8, if there is room and the key is new. Images of other kinds are not added."""
        file = self._shared.descriptor
        if file is None or self._stopped or image.dtype != np.uint8 or image.shape[2:] != (3, ):
            return
        reason = self._no_room(_Header.read(file), image.nbytes)
        if reason:
            self._say(file, reason)
            return
        try:
            place = self._reserve(file, key, image.nbytes)
            if place is not None:
                entry, offset = place
                _write(file, np.ascontiguousarray(image).reshape(-1), offset)
                shape = SHAPE.pack(image.shape[0] << 32 | image.shape[1])
                os.pwrite(file, shape, entry + ENTRY.size - SHAPE.size)
        except OSError as error:  # the space that was free has gone, or there is a quota
            self._stopped = True
            self._say(file, str(error.strerror))

    def _look_up(self, file: int, key: bytes) -> Tuple[Optional[int], Optional[tuple]]:
        """Position of a key's entry, or of the free one for it, and the entry if the key has one."""
        first = TABLE_FROM + ENTRY.size * (int.from_bytes(key[:8], 'little') % self._entries)
        for number, entry in enumerate(ENTRY.iter_unpack(os.pread(file, PROBES * ENTRY.size, first))):
            if entry[0] in (key, FREE):
                return first + number * ENTRY.size, entry if entry[0] == key else None
        return None, None

    def _reserve(self, file: int, key: bytes, size: int) -> Optional[Tuple[int, int]]:
        """Positions of a new entry and of its image; ``None`` if the key has an entry or nothing is free."""
        with self._shared.locked() as locked:
            position, entry = self._look_up(file, key)
            header = _Header.read(file)
            end = header.taken + _in_pages(size)
            if not locked or position is None or entry is not None or end > self.limit:
                return None
            header._replace(taken=end).write(file)
            os.pwrite(file, ENTRY.pack(key, header.taken, 0), position)
            return position, header.taken

    def _no_room(self, header: _Header, size: int) -> str:
        """Why an image of this many bytes is not added; empty if there is room for it."""
        if header.taken + _in_pages(size) > self.limit:
            return f'its limit is {self.limit / 1e9:g} GB'
        free = self._shared.free_space()
        if min(available_memory(), math.inf if free is None else free) < RESERVE + size:
            return f'less than {RESERVE / 1e9:.1f} GB of memory or of the disk would be left'
        return ''

    def _say(self, file: int, reason: str) -> None:
        """Log, once for all processes, that not all images are kept. Only the first process of a launch logs."""
        if _Header.read(file).said or get_rank() != 0:
            return
        with self._shared.locked() as locked:
            header = _Header.read(file)
            if header.said or not locked:
                return
            header._replace(said=True).write(file)
        print_log(f'the cache of decoded images has {header.taken / 1e9:.3g} GB and takes no more: {reason}; other '
                  'images are decoded for each person', 'current', logging.WARNING)


def _in_pages(size: int) -> int:
    """Bytes of the memory pages that hold this many bytes."""
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _write(file: int, values: np.ndarray, offset: int) -> None:
    """Write all bytes at an offset.

    Raises:
        OSError: There is no space for them.
    """
    rest = memoryview(values)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written
