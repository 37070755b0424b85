"""What ``predict`` is given: images and boxes of many kinds, as one stream of checked pairs."""
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from .inputs import VIDEO_SUFFIXES, decode_image, open_source
from .pose_result import Source

BOX_FORMATS = ('xywh', 'xyxy')
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


class Images(NamedTuple):
    """The given images.

    Attributes:
        pairs: They and their boxes, decoded and checked one by one as they are asked for.
        kind: ``'one'``, ``'list'`` or ``'stream'``: in which form the results are returned.
    """
    pairs: Iterator[Pair]
    kind: str


def open_images(images: Any, boxes: Any = None, bbox_format: str = 'xywh') -> Images:
    """Check the arguments of ``predict``, as far as this is possible without decoding images.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: An argument is not of the right kind.
    """
    if bbox_format not in BOX_FORMATS:
        raise ValueError(f'bbox_format must be one of {", ".join(BOX_FORMATS)}, got {bbox_format!r}')
    if isinstance(images, (str, Path)):
        path = Path(images)
        if not path.exists():
            raise FileNotFoundError(f'image {path} does not exist: give {KINDS}')
        if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES:
            frames = open_source(path, progress=False)
            sources: Iterable = frames.paths if path.is_dir() else (frame.image for frame in frames)
            return Images(_pairs(sources, _per_image(boxes), bbox_format), 'stream')
    if isinstance(images, (str, Path, np.ndarray)):
        return Images(_pairs([images], [boxes], bbox_format), 'one')
    if isinstance(images, (list, tuple)):
        if boxes is not None and (not isinstance(boxes, (list, tuple, np.ndarray)) or len(boxes) != len(images)):
            count = len(boxes) if hasattr(boxes, '__len__') else type(boxes).__name__
            raise ValueError(f'boxes must have one entry per image ({len(images)}), got {count}: give a list with the '
                             'boxes (N, 4), or None for the whole image, of each image')
        return Images(_pairs(images, boxes, bbox_format), 'list')
    if isinstance(images, Iterable) and not isinstance(images, (dict, set, bytes)) and not hasattr(images, 'shape'):
        return Images(_pairs(images, _per_image(boxes), bbox_format), 'stream')
    raise ValueError(f'images must be {KINDS}, got {type(images).__name__}')


def _per_image(boxes: Any) -> Optional[Iterable]:
    if boxes is not None and not isinstance(boxes, Iterable):
        raise ValueError(f'boxes must be a list or an iterator with the boxes of each image, got a '
                         f'{type(boxes).__name__}')
    return boxes


def _pairs(sources: Iterable, boxes: Optional[Iterable], bbox_format: str) -> Iterator[Pair]:
    end = object()
    given = None if boxes is None else iter(boxes)
    for number, source in enumerate(sources):
        own = None if given is None else next(given, end)
        if own is end:
            raise ValueError(f'boxes end after {number} entries, but there are more images: give the boxes (N, 4), or '
                             'None for the whole image, of each image')
        name = f'image {number}' if isinstance(source, np.ndarray) else f'image {number} ({source})'
        image = _image(source, name)
        yield Pair(source, image, check_boxes(own, image.shape, bbox_format, name))
    if given is not None and next(given, end) is not end:
        raise ValueError('boxes have more entries than there are images: give as many as images')


def _image(source: Any, name: str) -> np.ndarray:
    if isinstance(source, (str, Path)):
        return decode_image(source)
    if not isinstance(source, np.ndarray):
        raise ValueError(f'{name} must be a path or an array (H, W, 3) BGR uint8, got {type(source).__name__}')
    if source.ndim == 2 or source.ndim == 3 and source.shape[2] == 1:
        raise ValueError(f'{name} must be an array (H, W, 3) BGR uint8, got a gray image of shape {source.shape}: '
                         'convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)')
    if source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise ValueError(f'{name} must be an array (H, W, 3) BGR uint8, got the shape {source.shape}: give several '
                         'images as a list')
    if source.dtype != np.uint8:
        raise ValueError(f'{name} must be an array (H, W, 3) BGR uint8, got {source.dtype}: give values 0 to 255 as '
                         'uint8')
    return source


def check_boxes(boxes: Any, shape: Tuple[int, ...], bbox_format: str, name: str) -> np.ndarray:
    """The boxes of an image as an array (N, 4) float32 of x, y, width, height; the whole image for ``None``.

    Args:
        boxes: What the user gave.
        shape: Shape of the image.
        bbox_format: One of :data:`BOX_FORMATS`.
        name: Name of the image in messages.

    Raises:
        ValueError: They are not N × 4 finite numbers, or a box is empty or outside of the image.
    """
    height, width = shape[:2]
    if boxes is None:
        return np.array([[0, 0, width, height]], np.float32)
    try:
        array = np.array(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f'the boxes of {name} must be N × 4 numbers ({bbox_format}), got {_short(boxes)}') from error
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f'the boxes of {name} must be N × 4 numbers ({bbox_format}), got the shape {array.shape}')
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
            raise ValueError(f'box {index} of {name}, {_short(np.asarray(boxes)[index].tolist())}, {what}')
    return array


def outside(boxes: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """Which of the boxes (N, 4), x, y, width, height in image px, share no area with an image of this shape; (N,)."""
    height, width = shape[:2]
    ends = boxes[:, :2] + boxes[:, 2:]
    return (boxes[:, :2] >= (width, height)).any(1) | (ends <= 0).any(1)


def _short(value: Union[List, Any]) -> str:
    return repr(value)[:80]
