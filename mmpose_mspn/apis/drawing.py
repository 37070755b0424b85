"""Skeletons on pictures, drawn by mmpose's visualizer, and the files of these drawings."""
import os
import time
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Mapping, Optional, Type, Union

import cv2
import numpy as np
from mmengine.structures import InstanceData
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample

from mmpose_mspn.apis.inputs import Frame, Images, Video
from mmpose_mspn.apis.prediction_files import KIND
from mmpose_mspn.utils.errors import OutputError
from mmpose_mspn.utils.files import prepare_output_folder
from mmpose_mspn.utils.outputs import move_output, refuse_empty, write_output

KEYPOINT_THRESHOLD = 0.7
"""Default lowest score of a keypoint that is drawn: a fifth of a full peak. The scores of this package's codec are
0.5 + heatmap / 255, from 0.5 without a response to 1.5 at a full peak. Those of mmpose's own codecs are 0 to 1, and 0.3
is a common threshold for them."""
VISUALIZER = dict(type='PoseLocalVisualizer')


def _without_figure(visualizer: type) -> type:
    """mmpose's visualizer without the figure of matplotlib, which its OpenCV backend does not use, but makes."""

    class ByOpenCV(visualizer):

        def _initialize_fig(self, fig_cfg: Any) -> tuple:
            return None, SimpleNamespace(get_dpi=lambda: 0.), None  # canvas, figure, axes

    return ByOpenCV


class Drawer:
    """Draws the skeletons of people on pictures.

    Args:
        meta: mmpose's ``dataset_meta``, with the skeleton and the colors.
        settings: Config of the visualizer; the default is mmpose's. Its backends are ignored: nothing is written.
        threshold: Lowest score of a keypoint that is drawn, unless a call names another.
    """

    def __init__(self, meta: Mapping, settings: Optional[Mapping] = None,
                 threshold: float = KEYPOINT_THRESHOLD) -> None:
        self.meta, self.settings, self.threshold = meta, dict(settings or VISUALIZER), threshold
        self._visualizer = None

    def __call__(self, image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray,
                 threshold: Optional[float] = None) -> np.ndarray:
        """A copy (H, W, 3) BGR uint8 of an image with skeletons.

        Args:
            image: (H, W, 3) BGR uint8.
            keypoints: (N, K, 2) in image px.
            scores: (N, K).
            threshold: Lowest score of a keypoint that is drawn.
        """
        if self._visualizer is None:
            # Its name is unique, because mmengine returns an earlier visualizer of the same name with its settings.
            settings = {**self.settings, 'name': f'poses-{time.time_ns()}', 'vis_backends': None, 'save_dir': None}
            visualizer = VISUALIZERS.get(settings['type'])  # imports mmpose.visualization, which takes seconds
            of_mmpose = visualizer.__name__ == 'PoseLocalVisualizer' and visualizer.__module__.startswith('mmpose.')
            if of_mmpose and settings.get('backend', 'opencv') == 'opencv':
                settings['type'] = _without_figure(visualizer)
            self._visualizer = VISUALIZERS.build(settings)
            self._visualizer.set_dataset_meta(dict(self.meta))
        sample = PoseDataSample()
        if len(keypoints):
            sample.pred_instances = InstanceData(
                keypoints=keypoints, keypoint_scores=scores, keypoints_visible=scores)
        # The visualizer draws in RGB.
        drawn = self._visualizer.add_datasample(
            'result', np.ascontiguousarray(image[..., ::-1]), sample, draw_gt=False,
            kpt_thr=self.threshold if threshold is None else threshold)
        return np.ascontiguousarray(drawn[..., ::-1])


def output_folder(out_dir: Union[str, Path], frames: Union[Images, Video]) -> Path:
    """Return the output folder, created if it is missing.

    Raises:
        OutputError: It is the folder of the source, whose files would be overwritten, or cannot be written to.
    """
    refuse_empty('out_dir', out_dir)
    if Path(out_dir).resolve() == frames.folder.resolve():
        raise OutputError(f'out_dir {out_dir} is the folder of the source, whose files would be overwritten: '
                          'choose another')
    return prepare_output_folder('out_dir', out_dir)


class PictureWriter:
    """Writes each drawing to ``out_dir`` under the name of its source."""

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir

    def __enter__(self) -> 'PictureWriter':
        return self

    def __exit__(self, *raised: object) -> None:
        """Do nothing: no file is open."""

    def write(self, frame: Frame, drawn: np.ndarray) -> None:
        """Write ``drawn`` (H, W, 3) BGR uint8."""
        path = self.out_dir / frame.name
        encoded, content = cv2.imencode(path.suffix, drawn)
        if not encoded:
            raise OSError(f'{path} could not be written: OpenCV does not write such pictures')
        write_output(path, content.tobytes(), KIND, sync=False)


class VideoWriter:
    """Writes drawings of one size to the video ``<name>.mp4``, which gets its name when it is complete.

    OpenCV reports no error on a full disk, so the video is read again before it gets its name.

    The codec needs even sizes: OpenCV drops the last column of an odd width and the last row of an odd height.

    Args:
        name: File name of the video without the suffix.

    Raises:
        OSError: At the end, if the video does not hold all frames; it is removed.
    """

    def __init__(self, out_dir: Path, name: str, fps: float) -> None:
        self.path = out_dir / f'{name}.mp4'
        self.temporary = out_dir / f'.{name}.{os.getpid()}.tmp.mp4'  # OpenCV takes the container from the suffix
        self.fps = fps
        self.writer: Optional[cv2.VideoWriter] = None
        self.frames = 0

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self.writer is None:
            return
        self.writer.release()
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        readable = _count_frames(self.temporary)
        if readable != self.frames:
            self.temporary.unlink(missing_ok=True)
            raise OSError(f'{self.path} could not be written: {readable} of {self.frames} frames can be read again; '
                          'check the free space of its disk')
        try:
            move_output(self.temporary, self.path, KIND)
        except OSError as failure:
            self.temporary.unlink(missing_ok=True)
            raise OSError(f'{self.path} could not be written: {failure.strerror}') from failure

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
        self.frames += 1


def _count_frames(path: Path) -> int:
    """Number of frames of a video that can be decoded."""
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def open_writer(out_dir: Path, frames: Union[Images, Video]) -> Union[PictureWriter, VideoWriter]:
    """Return a writer for the drawings of a source: of a video for a video, of pictures for images."""
    if isinstance(frames, Video):
        return VideoWriter(out_dir, frames.path.stem, frames.fps)
    return PictureWriter(out_dir)
