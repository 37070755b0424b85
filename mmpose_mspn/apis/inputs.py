"""Pictures and videos to predict on, and what `predict` is given: images and boxes of many kinds, as one stream."""
import logging
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from mmpose_mspn.utils.errors import DataError, UserError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')

Source = Union[str, Path, np.ndarray]
"""An image: its file, or an array (H, W, 3) BGR uint8."""
Detector = Callable[[List[np.ndarray]], List[np.ndarray]]
"""Takes images (H, W, 3) BGR uint8 and returns the boxes (N, 4) float32, x, y, width, height in image px, of each."""

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

    Raises:
        UserError: The folder holds no image.
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
            raise DataError(f'{source} holds no image ({", ".join(IMAGE_SUFFIXES)}): name a folder that does')
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

    Raises:
        UserError: OpenCV cannot open the file.
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
            raise DataError(f'OpenCV cannot open {self.path} as a video: convert it, for example to mp4 with H.264')
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

    Raises:
        FileNotFoundError: There is no such file or folder.
        UserError: The suffix is none of :data:`IMAGE_SUFFIXES` and :data:`VIDEO_SUFFIXES`, the folder holds no image,
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
    raise DataError(f'source {source} must be a folder, an image ({", ".join(IMAGE_SUFFIXES)}) or a video '
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
        UserError: It cannot be decoded.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'image {path} does not exist: name a file that does')
    image = read_image(Path(path))
    if image is None:
        raise DataError(f'image {path} cannot be decoded: give a picture that OpenCV reads')
    return image


BOX_FORMATS = ('xywh', 'xyxy')
HELD_BYTES = 1 << 28
"""Bytes of decoded images that wait for their batch to be full; at more, the batch runs as it is."""
KINDS = 'the path of an image, a folder or a video, an array (H, W, 3) BGR uint8, or a list or an iterator of images'


class Pair(NamedTuple):
    """An image and the boxes in it.

    Attributes:
        source: What a result refers to: the path that was given, or the image.
        image: (H, W, 3) BGR uint8.
        boxes: (N, 4) float32, x, y, width, height in image px, of positive size and partly inside of the image.
        tag: Anything that belongs to the image.
    """
    source: Source
    image: np.ndarray
    boxes: np.ndarray
    tag: Any = None


def open_images(images: Any, boxes: Any = None, bbox_format: str = 'xywh', detector: Optional[Detector] = None,
                batch_size: int = 1) -> Tuple[Iterator[Pair], str]:
    """Check the arguments of ``predict``, as far as this is possible without decoding images.

    Args:
        images: The images, see :meth:`~mmpose_mspn.apis.pose_model.PoseModel.predict`.
        bbox_format: One of :data:`BOX_FORMATS`.
        detector: Finds the boxes of images for which none are given. Without it, the whole image is one.
        batch_size: Number of images that the detector takes together.

    Returns:
        The images and their boxes, decoded and checked as they are asked for, and in which form the results are
        returned: ``'one'``, ``'list'``, ``'stream'`` or ``'video'``.

    Raises:
        FileNotFoundError: A file does not exist.
        UserError: An argument is not of the right kind.
    """
    if bbox_format not in BOX_FORMATS:
        raise UserError(f'bbox_format must be one of {", ".join(BOX_FORMATS)}, got {bbox_format!r}')
    pairs = partial(_pairs, bbox_format=bbox_format, detector=detector, size=batch_size if detector else 1)
    if isinstance(images, (str, Path)):
        path = Path(images)
        if not path.exists():
            raise FileNotFoundError(f'image {path} does not exist: give {KINDS}')
        if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES:
            frames = open_source(path, progress=False)
            sources: Iterable = frames.paths if path.is_dir() else (frame.image for frame in frames)
            return pairs(sources, _per_image(boxes)), 'stream' if path.is_dir() else 'video'
    if isinstance(images, (str, Path, np.ndarray)):
        return pairs([images], [boxes]), 'one'
    if isinstance(images, (list, tuple)):
        if boxes is not None and (not isinstance(boxes, (list, tuple, np.ndarray)) or len(boxes) != len(images)):
            count = len(boxes) if hasattr(boxes, '__len__') else type(boxes).__name__
            raise UserError(f'boxes must have one entry per image ({len(images)}), got {count}: give a list with the '
                            'boxes (N, 4), or None for the whole image, of each image')
        return pairs(images, boxes), 'list'
    if isinstance(images, Iterable) and not isinstance(images, (dict, set, bytes)) and not hasattr(images, 'shape'):
        return pairs(images, _per_image(boxes)), 'stream'
    raise UserError(f'images must be {KINDS}, got {type(images).__name__}')


def _per_image(boxes: Any) -> Optional[Iterable]:
    if boxes is not None and not isinstance(boxes, Iterable):
        raise UserError(f'boxes must be a list or an iterator with the boxes of each image, got a '
                        f'{type(boxes).__name__}')
    return boxes


def batches(frames: Iterable[Any], size: int) -> Iterator[list]:
    """Lists of ``size`` frames, shorter ones at the end and where images of more than :data:`HELD_BYTES` wait.

    Args:
        frames: Objects with an ``image``.
    """
    batch: list = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size or sum(waiting.image.nbytes for waiting in batch) > HELD_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _pairs(sources: Iterable, boxes: Optional[Iterable], bbox_format: str, detector: Optional[Detector],
           size: int) -> Iterator[Pair]:
    for batch in batches(_decoded(sources, boxes), size):
        without = [pair.image for pair in batch if pair.boxes is None] if detector else []
        detected = iter(detector(without) if without else ())
        for source, image, image_boxes, name in batch:
            if image_boxes is None and detector:
                yield Pair(source, image, next(detected))
            else:
                yield Pair(source, image, check_boxes(image_boxes, image.shape, bbox_format, name))


def _decoded(sources: Iterable, boxes: Optional[Iterable]) -> Iterator[Pair]:
    """The images with the boxes as the user gave them, and names for messages as tags."""
    end = object()
    boxes_of_images = None if boxes is None else iter(boxes)
    for number, source in enumerate(sources):
        image_boxes = None if boxes_of_images is None else next(boxes_of_images, end)
        if image_boxes is end:
            raise UserError(f'boxes end after {number} entries, but there are more images: give the boxes (N, 4), or '
                            'None for the whole image, of each image')
        name = f'image {number}' if isinstance(source, np.ndarray) else f'image {number} ({source})'
        image = _image(source, name)
        yield Pair(source, image, image_boxes, name)
    if boxes_of_images is not None and next(boxes_of_images, end) is not end:
        raise UserError('boxes have more entries than there are images: give as many as images')


def _image(source: Any, name: str) -> np.ndarray:
    if isinstance(source, (str, Path)):
        return decode_image(source)
    if not isinstance(source, np.ndarray):
        raise UserError(f'{name} must be a path or an array (H, W, 3) BGR uint8, got {type(source).__name__}')
    if source.ndim == 2 or source.ndim == 3 and source.shape[2] == 1:
        raise UserError(f'{name} must be an array (H, W, 3) BGR uint8, got a gray image of shape {source.shape}: '
                        'convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)')
    if source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise UserError(f'{name} must be an array (H, W, 3) BGR uint8, got the shape {source.shape}: give several '
                        'images as a list')
    if source.dtype != np.uint8:
        raise UserError(f'{name} must be an array (H, W, 3) BGR uint8, got {source.dtype}: give values 0 to 255 as '
                        'uint8')
    return source


def check_boxes(boxes: Any, shape: Tuple[int, ...], bbox_format: str, name: str) -> np.ndarray:
    """The boxes of an image as an array (N, 4) float32 of x, y, width, height; the whole image for ``None``.

    Args:
        boxes: What the user gave.
        bbox_format: One of :data:`BOX_FORMATS`.
        name: Name of the image in messages.

    Raises:
        UserError: They are not N × 4 finite numbers, or a box is empty or outside of the image.
    """
    height, width = shape[:2]
    if boxes is None:
        return np.array([[0, 0, width, height]], np.float32)
    try:
        array = np.array(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f'the boxes of {name} must be N × 4 numbers ({bbox_format}), got {_short(boxes)}') from error
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise UserError(f'the boxes of {name} must be N × 4 numbers ({bbox_format}), got the shape {array.shape}')
    if bbox_format == 'xyxy':
        array[:, 2:] -= array[:, :2]
    array = array.astype(np.float32)
    for wrong, what in (
        (~np.isfinite(array).all(1), 'is not finite: omit it'),
        ((array[:, 2:] <= 0).any(1), f'has no positive size as {bbox_format} in image px: omit it, or '
         'set bbox_format'),
        (outside(array, shape), f'lies outside of the image ({width} × {height} px): omit it'),
    ):
        if wrong.any():
            index = int(np.argmax(wrong))
            raise UserError(f'box {index} of {name}, {_short(np.asarray(boxes)[index].tolist())}, {what}')
    return array


def outside(boxes: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """Which of the boxes (N, 4), x, y, width, height in image px, share no area with an image of this shape; (N,)."""
    height, width = shape[:2]
    ends = boxes[:, :2] + boxes[:, 2:]
    return (boxes[:, :2] >= (width, height)).any(1) | (ends <= 0).any(1)


def _short(value: Union[List, Any]) -> str:
    return repr(value)[:80]
