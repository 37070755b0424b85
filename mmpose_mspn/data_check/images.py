"""Sizes of image files, and a note of those that do not open."""
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Dict, Iterable, Optional, Tuple

from PIL import Image
from tqdm import tqdm

from mmpose_mspn.data_check.report import Report


def image_sizes(paths: Iterable[str], report: Report, decode: bool = False,
                progress: bool = True) -> Dict[str, Tuple[int, int]]:
    """Read the sizes of images.

    Args:
        paths: Image files.
        report: Collects those that are missing or do not open.
        decode: Whether to decode every pixel. Reading the headers alone, which is faster, misses truncated files.
        progress: Whether to show a progress bar.

    Returns:
        (width, height) in px, by path, of the images that open.
    """
    paths = list(dict.fromkeys(paths))
    sizes = {}
    with ThreadPoolExecutor() as pool:
        opened = pool.map(partial(_open, decode=decode), paths)
        for path, (size, problem) in zip(paths, tqdm(opened, 'images', len(paths), disable=not progress)):
            if size is not None:
                sizes[path] = size
            elif problem is None:
                report.add('missing image', path)
            else:
                report.add('image that does not open', f'{path}: {problem}')
    return sizes


def _open(path: str, decode: bool) -> Tuple[Optional[Tuple[int, int]], Optional[str]]:
    """(size, ``None``), or (``None``, the problem) if the file does not open; twice ``None`` if there is no file."""
    if not osp.exists(path):
        return None, None
    try:
        with Image.open(path) as image:
            size = image.size
            if decode:
                image.load()
            else:
                image.verify()
        return size, None
    except Exception as error:  # decoders raise errors of any type on a broken file
        return None, str(error) or type(error).__name__
