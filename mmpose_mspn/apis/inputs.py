"""Pictures and videos to predict on, one frame at a time."""
import logging
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Union

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')

FALLBACK_FPS = 25.
"""Frames per second of a video whose file does not say."""


class Frame(NamedTuple):
    """A picture to predict on.

    Attributes:
        name: Name of the image or video file.
        image: (H, W, 3) BGR uint8.
        number: Index of the frame in its video, from 0; ``None`` for an image.
    """
    name: str
    image: np.ndarray
    number: Optional[int] = None


class Images:
    """An image file, or the images of a folder in the order of their names.

    Iterating gives the frames and shows a progress bar. A file that cannot be decoded is logged and counted in
    ``skipped``. Files of a folder whose suffix is not an image's are logged and counted in ``other_files``.

    Args:
        source: The image file or the folder.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: The folder holds no image.
    """

    def __init__(self, source: Path, progress: bool = True) -> None:
        self.progress = progress
        self.folder = source if source.is_dir() else source.parent
        # A link to nothing is a file that cannot be read.
        files = sorted(path for path in self.folder.iterdir() if path.is_file() or path.is_symlink() and not
                       path.exists())
        images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        self.names_in_folder = {path.name for path in images}
        self.paths: List[Path] = images if source.is_dir() else [source]
        self.other_files = len(files) - len(images) if source.is_dir() else 0
        self.skipped = 0
        if not self.paths:
            raise ValueError(f'{source} holds no image ({", ".join(IMAGE_SUFFIXES)}): name a folder that does')
        if self.other_files:
            print_log(f'{self.other_files} files of {source} are not images and are ignored', 'current')

    def __iter__(self) -> Iterator[Frame]:
        self.skipped = 0
        for path in tqdm(self.paths, unit='image', disable=not self.progress):
            image = read_image(path)
            if image is None:
                self.skipped += 1
                print_log(f'{path} cannot be decoded as an image and is skipped', 'current', logging.WARNING)
                continue
            yield Frame(path.name, image)


class Video:
    """The frames of a video file, read by :class:`mmcv.VideoReader`.

    Iterating gives the frames and shows a progress bar. The file is open only during the iteration.

    Args:
        source: The video file.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: OpenCV cannot open the file.
    """

    def __init__(self, source: Path, progress: bool = True) -> None:
        self.path, self.progress = source, progress
        self.folder = source.parent
        self.other_files = self.skipped = 0
        with self._open() as reader:
            self.fps = reader.fps if np.isfinite(reader.fps) and reader.fps > 0 else FALLBACK_FPS
            self.announced = max(0, reader.frame_cnt)

    def _open(self) -> mmcv.VideoReader:
        reader = mmcv.VideoReader(str(self.path))
        if not reader.opened:
            raise ValueError(f'OpenCV cannot open {self.path} as a video: convert it, for example to mp4 with H.264')
        return reader

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        with self._open() as reader, tqdm(
                total=self.announced or None, unit='frame', disable=not self.progress) as bar:
            for number, image in enumerate(reader, 1):
                yield Frame(self.path.name, image, number - 1)
                bar.update()
        # The number of frames in a container's header may be wrong.
        if number < self.announced:
            print_log(f'{self.path} announces {self.announced} frames, of which {number} could be read', 'current',
                      logging.WARNING)


def open_source(source: Union[str, Path], progress: bool = True) -> Union[Images, Video]:
    """Open an image, a folder of images or a video, which the suffix tells apart.

    Args:
        source: The file or the folder.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The suffix is none of :data:`IMAGE_SUFFIXES` and :data:`VIDEO_SUFFIXES`, the folder holds no image,
            or the video cannot be opened.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f'source {source} does not exist: name an image, a folder of images or a video')
    suffix = source.suffix.lower()
    if source.is_dir() or suffix in IMAGE_SUFFIXES:
        return Images(source, progress)
    if suffix in VIDEO_SUFFIXES:
        return Video(source, progress)
    raise ValueError(f'source {source} must be a folder, an image ({", ".join(IMAGE_SUFFIXES)}) or a video '
                     f'({", ".join(VIDEO_SUFFIXES)}), got the suffix {source.suffix!r}')


def read_image(path: Path) -> Optional[np.ndarray]:
    """Read an image (H, W, 3) BGR uint8 as mmpose's ``LoadImage`` does, or return ``None`` if it cannot be decoded."""
    try:
        return mmcv.imread(path)
    except (cv2.error, OSError):  # of an empty file, of a file that cannot be read
        return None


def decode_image(path: Union[str, Path]) -> np.ndarray:
    """:func:`read_image` for a file that must be an image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be decoded.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'image {path} does not exist: name a file that does')
    image = read_image(Path(path))
    if image is None:
        raise ValueError(f'image {path} cannot be decoded: give a picture that OpenCV reads')
    return image
