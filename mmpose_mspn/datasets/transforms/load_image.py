"""Loading of images that are decoded once for all people and epochs."""
import hashlib
import logging
import os
import os.path as osp
import shutil
from contextlib import suppress
from typing import Dict, Optional

import cv2
import numpy as np
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage as MmposeLoadImage
from torch.utils.data import get_worker_info

from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.numbers import is_finite

GB = 10**9
LEAST_GB = 0.001
DEFAULT_GB = 10.
RESERVE = 2 * GB
"""Bytes of the disk that are left free."""
LOOK_EVERY = 50
"""A process looks whether there is room after it has added this many images."""


def check_cache_gb(name: str, gigabytes: float) -> None:
    """Raise ConfigError unless it is a size that a cache can have."""
    if not is_finite(gigabytes) or gigabytes < LEAST_GB:
        raise ConfigError(f'{name} must be a finite number >= {LEAST_GB} (GB of decoded images), got {gigabytes!r}')


@TRANSFORMS.register_module()
class LoadImage(MmposeLoadImage):
    """mmpose's step of this name, which can keep decoded images in a folder for the next person or epoch.

    Each is a ``.npy`` file, mapped into memory where it is used, so that the system's page cache holds it once for all
    data workers. The images are the same to the bit, and an image whose file has changed is decoded again. An image
    that has been added stays: a training visits all equally often, so nothing would be gained by removing one for
    another. Where the limit is reached, or less than 2 GB of the disk would be left, other images are decoded each
    time, which is logged. The folder stays when the run ends; delete it when it is not needed any more
    (docs/performance.md, "Data workers").

    Required key: ``img_path``, or ``img``. Added: ``img`` (h, w, 3) uint8, ``img_shape`` and ``ori_shape`` (h, w).

    Args:
        cache_folder: Folder on a local disk, made if it is missing; ``None`` keeps no images. Any number of steps and
            processes may share it.
        cache_gb: GB (10^9 bytes) that the files of the folder may take, >= 0.001; each process exceeds it by at most
            50 images. The default is 10.
        kwargs: Arguments of mmpose's step. With ``cache_folder``, images must be 8-bit color from local files.

    Raises:
        ConfigError: ``cache_gb`` is out of its range, or an argument does not go with ``cache_folder``.
    """

    def __init__(self, *, cache_folder: Optional[str] = None, cache_gb: Optional[float] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.cache_folder: Optional[str] = None
        self.limit = 0
        self._added = 0
        if cache_gb is not None:
            check_cache_gb('cache_gb', cache_gb)
        if cache_folder is None:
            if cache_gb is not None:  # configs of earlier versions, which kept images in memory
                _warn('cache_gb is given without cache_folder: name a folder on a local disk to keep decoded images')
            return
        if self.to_float32 or self.color_type != 'color' or self.backend_args or self.file_client_args:
            raise ConfigError('cache_folder keeps 8-bit color images of local files: keep to_float32, color_type and '
                              'backend_args of LoadImage at their defaults, or omit cache_folder')
        self.limit = round((DEFAULT_GB if cache_gb is None else cache_gb) * GB)
        try:
            os.makedirs(cache_folder, exist_ok=True)
            self.cache_folder = cache_folder
        except OSError as error:
            _warn(f'the folder {cache_folder} cannot be made ({error.strerror})')

    def transform(self, results: Dict) -> Optional[Dict]:
        path = None if self.cache_folder is None or 'img' in results else self._cached_path(results['img_path'])
        if path is None:
            return super().transform(results)
        try:
            # Copy on write: steps may change the image, which changes no file.
            image = np.asarray(np.load(path, mmap_mode='c'))
        except (OSError, ValueError, EOFError):  # there is none, or a crash has left a part of one
            results = super().transform(results)
            if results is not None:
                self._add(path, results['img'])
            return results
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _cached_path(self, path: str) -> Optional[str]:
        """Where an image is kept, by its file and its decoder; ``None`` for a file that is not there."""
        try:
            status = os.stat(path)
        except (OSError, TypeError, ValueError):
            return None  # mmpose's step says so
        facts = (osp.abspath(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns,
                 self.imdecode_backend, cv2.__version__)
        return osp.join(self.cache_folder, hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest() + '.npy')

    def _add(self, path: str, image: np.ndarray) -> None:
        """Keep an image, unless there is no room."""
        if self._added < 0:
            return
        part = f'{path}.{os.getpid()}.part'
        try:
            reason = self._no_room() if self._added % LOOK_EVERY == 0 else ''
            if not reason:
                with open(part, 'wb') as file:
                    np.save(file, image)
                os.replace(part, path)
        except OSError as error:  # the space that was free has gone, or there is a quota
            reason = error.strerror or str(error)
            with suppress(OSError):
                os.unlink(part)
        self._added += 1
        if reason:
            self._added = -1
            _warn(f'the cache of decoded images {self.cache_folder} takes no more: {reason}')

    def _no_room(self) -> str:
        """Why no more images are kept; empty if there is room."""
        taken = 0
        with os.scandir(self.cache_folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # a part that another process has finished meanwhile
                    taken += entry.stat().st_size
        if taken >= self.limit:
            return f'its limit is {self.limit / GB:g} GB'
        if shutil.disk_usage(self.cache_folder).free < RESERVE:
            return f'less than {RESERVE / GB:g} GB of the disk are left'
        return ''


def _warn(reason: str) -> None:
    """Log, once for the workers of a data loader and for the processes of a launch, why images are decoded."""
    worker = get_worker_info()
    if get_rank() == 0 and (worker is None or worker.id == 0):
        print_log(f'{reason}; other images are decoded for each person', 'current', logging.WARNING)
