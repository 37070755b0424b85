"""Loading of images that are decoded once for all people and epochs."""
import hashlib
import logging
import os
import sys
from typing import Dict, Optional

import cv2
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage as MmposeLoadImage

from mmpose_mspn.datasets.shared_images import KEY_BYTES, SharedImages
from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.numbers import is_finite

GB = 10**9
LEAST_GB = 0.001


def check_cache_gb(name: str, gigabytes: float) -> None:
    """Raise ValueError unless it is a size that a cache can have."""
    if not is_finite(gigabytes) or gigabytes < LEAST_GB:
        raise ValueError(f'{name} must be a finite number >= {LEAST_GB} (GB of decoded images), got {gigabytes!r}: '
                         'omit it for no cache')


@TRANSFORMS.register_module()
class LoadImage(MmposeLoadImage):
    """mmpose's step of this name, which can keep decoded images for the next person or epoch.

    The images are the same to the bit. They are shared by the data workers of all processes of a user on a machine, and
    their memory is freed when the last of these ends. An image whose file has changed is decoded again. Where the limit
    is reached, or less than 2 GB of memory or of the disk would be left, other images are decoded each time, which is
    logged once (docs/performance.md, "Data workers").

    Required key: ``img_path``, or ``img``. Added: ``img`` (h, w, 3) uint8, ``img_shape`` and ``ori_shape`` (h, w).

    Args:
        cache_gb: GB (10^9 bytes) of decoded images that are kept, >= 0.001; ``None`` keeps none. All steps of the same
            limit and folder on a machine share one cache, which has the limit.
        cache_folder: Existing folder on a disk of this machine in which they lie; ``None`` for memory. Files there have
            no names.
        kwargs: Arguments of mmpose's step. With ``cache_gb``, images must be 8-bit color from local files.

    Raises:
        ValueError: ``cache_gb`` is out of its range, or an argument does not go with it.
    """

    def __init__(self, *, cache_gb: Optional[float] = None, cache_folder: Optional[str] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.images: Optional[SharedImages] = None
        if cache_gb is None:
            if cache_folder is not None:
                raise ValueError(f'cache_folder {cache_folder!r} is given without cache_gb: say how many GB are kept '
                                 'there')
            return
        check_cache_gb('cache_gb', cache_gb)
        if cache_folder is not None and not (isinstance(cache_folder, str) and os.path.isdir(cache_folder)):
            raise ValueError(f'cache_folder must be a folder on a disk of this machine, or None for memory, got '
                             f'{cache_folder!r}: make the folder')
        if self.to_float32 or self.color_type != 'color' or self.backend_args or self.file_client_args:
            raise ValueError('cache_gb keeps 8-bit color images of local files: keep to_float32, color_type and '
                             'backend_args of LoadImage at their defaults, or omit cache_gb')
        try:
            self.images = SharedImages(round(cache_gb * GB), cache_folder)
        except OSError as error:
            print_log(f'there is no cache of decoded images ({error}): they are decoded for each person', 'current',
                      logging.WARNING)

    def transform(self, results: Dict) -> Optional[Dict]:
        key = None if self.images is None or 'img' in results else self._key(results['img_path'])
        if key is None:
            return super().transform(results)
        image = self.images.get(key)
        if image is not None:
            results['img'] = image
            results['img_shape'] = results['ori_shape'] = image.shape[:2]
            return results
        results = super().transform(results)
        if results is not None:
            self.images.put(key, results['img'])
        return results

    def _key(self, path: str) -> Optional[bytes]:
        """What tells a file, its content and its decoder from others; ``None`` for a file that is not there."""
        try:
            status = os.stat(path)
        except (OSError, TypeError, ValueError):
            return None  # mmpose's step says so
        facts = (os.path.abspath(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns,
                 self.imdecode_backend, cv2.__version__, sys.prefix)
        return hashlib.blake2b(repr(facts).encode(), digest_size=KEY_BYTES).digest()
