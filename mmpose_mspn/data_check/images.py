"""Sizes of image files, and a note of those that do not open."""
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Dict, Iterable, NamedTuple, Optional, Tuple

import mmcv
from PIL import Image
from tqdm import tqdm

from mmpose_mspn.data_check.report import Report

LOADED_FORMATS = ('JPEG', 'PNG', 'BMP')
"""Formats whose header says enough to know what the loader makes of a file without an EXIF orientation."""
ORIENTATION = 0x0112
"""The EXIF tag that says how an image must be turned for display."""


class ImageSize(NamedTuple):
    """Sizes (width, height) of an image, in px."""
    stored: Tuple[int, int]
    loaded: Tuple[int, int]  # what mmcv loads, turned by the EXIF orientation where the format and OpenCV support it


def image_sizes(paths: Iterable[str], report: Report, decode: bool = False,
                progress: bool = True) -> Dict[str, ImageSize]:
    """Read the sizes of images.

    Args:
        paths: Image files.
        report: Collects those that are missing or do not open.
        decode: Whether to decode every pixel. Reading the headers alone, which is faster, misses truncated files.
        progress: Whether to show a progress bar.

    Returns:
        The sizes, by path, of the images that open.
    """
    paths = list(dict.fromkeys(paths))
    sizes = {}
    pool = ThreadPoolExecutor()
    try:
        opened = zip(paths, pool.map(partial(_open, decode=decode), paths))
        for path, (size, problem) in tqdm(opened, 'images', len(paths), disable=not progress):
            if size is not None:
                sizes[path] = size
            elif problem is None:
                report.add('missing image', path)
            else:
                report.add('image that does not open', f'{path}: {problem}')
    finally:
        pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait until all images are opened
    return sizes


def _open(path: str, decode: bool) -> Tuple[Optional[ImageSize], Optional[str]]:
    """(size, ``None``), or (``None``, the problem) if the file does not open; twice ``None`` if there is no file."""
    if not osp.exists(path):
        return None, None
    try:
        with Image.open(path) as image:
            stored = image.size
            by_header = image.format in LOADED_FORMATS and _is_upright(image)
            if decode:
                image.load()
            elif by_header:
                image.verify()
        if by_header and not decode:
            return ImageSize(stored, stored), None
        loaded = mmcv.imread(path)
        if loaded is None:
            return None, 'OpenCV, with which images are loaded, does not read it'
        return ImageSize(stored, (loaded.shape[1], loaded.shape[0])), None
    except Exception as error:  # decoders raise errors of any type on a broken file
        return None, str(error) or type(error).__name__


def _is_upright(image: Image.Image) -> bool:
    """Whether the header of an image has no EXIF orientation other than the usual one."""
    # Without the first condition, Pillow would decode a whole PNG file in search of tags.
    return 'exif' not in image.info or image.getexif().get(ORIENTATION, 1) == 1
