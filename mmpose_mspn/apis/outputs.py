"""Drawn pictures, drawn videos and predictions in the output folder."""
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Optional, Type, Union

import cv2
import mmcv
import numpy as np

from mmpose_mspn.utils.files import write_json

from .inputs import Frame, Images, Video

PREDICTIONS = 'predictions.json'


def prepare_folder(out_dir: Union[str, Path], frames: Union[Images, Video]) -> Path:
    """The output folder, made where it is missing.

    Raises:
        ValueError: It is the source's folder, whose files would be overwritten.
        OSError: It cannot be made or written to.
    """
    out_dir = Path(out_dir)
    if out_dir.resolve() == frames.folder.resolve():
        raise ValueError(f'out_dir {out_dir} is the folder of the source, whose files would be overwritten: '
                         'choose another')
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        raise OSError(f'out_dir {out_dir} cannot be written to ({error}): choose another, or change its rights'
                      ) from error
    return out_dir


class PictureWriter:
    """Writes each picture under the name of its source."""

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir

    def __enter__(self) -> 'PictureWriter':
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is held open."""

    def write(self, frame: Frame, drawn: np.ndarray) -> None:
        """Write ``drawn`` (H, W, 3) BGR uint8."""
        path = self.out_dir / frame.name
        if not mmcv.imwrite(drawn, str(path)):
            raise OSError(f'{path} could not be written: OpenCV refuses the picture')


class VideoWriter:
    """Writes pictures of one size as ``<name>.mp4``, which appears once it is complete.

    OpenCV leaves out the last column of an odd width and the last row of an odd height, which the codec cannot hold.

    Args:
        out_dir: Folder of the video.
        name: Its file name without the suffix.
        fps: Frames per second, > 0.
    """

    def __init__(self, out_dir: Path, name: str, fps: float) -> None:
        self.path = out_dir / f'{name}.mp4'
        self.temporary = out_dir / f'.{name}.{os.getpid()}.tmp.mp4'  # OpenCV chooses the container by the suffix
        self.fps = fps
        self.writer: Optional[cv2.VideoWriter] = None

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self.writer is None:
            return
        self.writer.release()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink()

    def write(self, frame: Frame, drawn: np.ndarray) -> None:
        """Append ``drawn`` (H, W, 3) BGR uint8."""
        if self.writer is None:
            height, width = drawn.shape[:2]
            writer = cv2.VideoWriter(str(self.temporary), cv2.VideoWriter_fourcc(*'mp4v'), self.fps, (width, height))
            if not writer.isOpened():
                raise OSError(f'{self.path} could not be written: this OpenCV has no mp4v encoder, install '
                              'opencv-python')
            self.writer = writer
        self.writer.write(drawn)


def open_writer(out_dir: Path, frames: Union[Images, Video]) -> Union[PictureWriter, VideoWriter]:
    """The writer that fits the source."""
    if isinstance(frames, Video):
        return VideoWriter(out_dir, frames.path.stem, frames.fps)
    return PictureWriter(out_dir)


def write_predictions(out_dir: Path, content: dict) -> Path:
    """Write :data:`PREDICTIONS` so that its name never stands for half of it."""
    path = out_dir / PREDICTIONS
    write_json(path, content)
    return path
