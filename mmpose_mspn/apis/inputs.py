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

    ``name`` is the file's name, ``image`` (H, W, 3) BGR uint8, ``number`` the frame of a video, from 0.
    """
    name: str
    image: np.ndarray
    number: Optional[int] = None


class Images:
    """An image file, or those of a folder in the order of their names, with a progress bar.

    Iterating gives the frames. A file that does not decode is logged and counted in ``skipped``; files of a
    folder that are no images by their suffix are logged and counted in ``other_files``.

    Raises:
        ValueError: The folder holds no image.
    """

    def __init__(self, source: Path) -> None:
        self.folder = source if source.is_dir() else source.parent
        files = sorted(path for path in self.folder.iterdir() if path.is_file())
        images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        self.names_in_folder = {path.name for path in images}
        self.paths: List[Path] = images if source.is_dir() else [source]
        self.other_files = len(files) - len(images) if source.is_dir() else 0
        self.skipped = 0
        if not self.paths:
            raise ValueError(f'{source} holds no image ({", ".join(IMAGE_SUFFIXES)}): name a folder that does')
        if self.other_files:
            print_log(f'{self.other_files} files of {source} are no images and are left out', 'current')

    def __iter__(self) -> Iterator[Frame]:
        self.skipped = 0
        for path in tqdm(self.paths, unit='image'):
            image = read_image(path)
            if image is None:
                self.skipped += 1
                print_log(f'{path} does not decode as an image and is skipped', 'current', logging.WARNING)
                continue
            yield Frame(path.name, image)


class Video:
    """The frames of a video file, with a progress bar.

    Raises:
        ValueError: OpenCV cannot open the file, or no frame of it decodes.
    """

    def __init__(self, source: Path) -> None:
        self.path = source
        self.folder = source.parent
        self.other_files = self.skipped = 0
        capture = self._open()
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if np.isfinite(fps) and fps > 0 else FALLBACK_FPS
        self.announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f'OpenCV cannot open {self.path} as a video: convert it, for example to mp4 with H.264')
        return capture

    def __iter__(self) -> Iterator[Frame]:
        capture, number = self._open(), 0
        try:
            with tqdm(total=self.announced or None, unit='frame') as bar:
                while True:
                    decoded, image = capture.read()
                    if not decoded:
                        break
                    yield Frame(self.path.name, image, number)
                    number += 1
                    bar.update()
        finally:
            capture.release()
        # Containers may announce a frame or so that is not there; only the count of what came is certain.
        if number < self.announced:
            print_log(f'{self.path} announces {self.announced} frames, of which {number} could be read', 'current',
                      logging.WARNING)


def open_source(source: Union[str, Path]) -> Union[Images, Video]:
    """What to predict on: an image, a folder of images or a video, by the suffix.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The suffix is none of :data:`IMAGE_SUFFIXES` and :data:`VIDEO_SUFFIXES`, the folder holds no image,
            or the video does not open.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f'source {source} does not exist: name an image, a folder of images or a video')
    suffix = source.suffix.lower()
    if source.is_dir() or suffix in IMAGE_SUFFIXES:
        return Images(source)
    if suffix in VIDEO_SUFFIXES:
        return Video(source)
    raise ValueError(f'source {source} must be a folder, an image ({", ".join(IMAGE_SUFFIXES)}) or a video '
                     f'({", ".join(VIDEO_SUFFIXES)}), got the suffix {source.suffix!r}')


def read_image(path: Path) -> Optional[np.ndarray]:
    """(H, W, 3) BGR uint8 as mmpose's ``LoadImage`` reads it, or ``None`` where the file does not decode."""
    try:
        return mmcv.imread(path)
    except cv2.error:  # of an empty file
        return None
