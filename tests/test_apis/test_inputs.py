"""Frames of real video files, whole and damaged."""
import os
from pathlib import Path
from typing import List

import cv2
import numpy as np
import pytest

from mmpose_mspn.apis import inputs
from mmpose_mspn.apis.inputs import Video, open_source

FRAMES = 30


@pytest.fixture
def video(tmp_path) -> Path:
    """Thirty frames of noise, 12 a second."""
    path = tmp_path / 'noise.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    draw = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path):
    (tmp_path / 'gone.jpg').symlink_to('/nowhere.jpg')
    frames = open_source(tmp_path, progress=False)
    assert list(frames) == [] and frames.skipped == 1


def decoded(path: Path) -> List[np.ndarray]:
    """What OpenCV itself reads."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        found, frame = capture.read()
        if not found:
            return frames
        frames.append(frame)


def is_open(path: Path) -> bool:
    return any(os.path.realpath(f'/proc/self/fd/{entry}') == str(path) for entry in os.listdir('/proc/self/fd'))


def test_all_frames_in_order_and_again(video, log, capfd):
    source = open_source(video)
    assert isinstance(source, Video) and (source.fps, source.skipped, source.other_files) == (12, 0, 0)
    expected = decoded(video)
    for _ in range(2):
        frames = list(source)
        assert [frame.number for frame in frames] == list(range(FRAMES)) and {frame.name for frame in frames} == {
            'noise.avi'}
        assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, expected))
    assert 'announces' not in log.text and f'{FRAMES}/{FRAMES}' in capfd.readouterr().err  # the progress bar


def test_a_video_that_ends_early_gives_what_can_be_read(video, log):
    content = video.read_bytes()
    video.write_bytes(content[:len(content) // 2])
    count = len(decoded(video))
    assert 0 < count < FRAMES
    assert len(list(open_source(video))) == count
    assert f'noise.avi announces {FRAMES} frames, of which {count} could be read' in log.text


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='open files are listed in /proc on Linux only')
def test_the_file_is_open_during_the_iteration_only(video):
    source = open_source(video)
    assert not is_open(video)
    frames = iter(source)
    next(frames)
    assert is_open(video)
    frames.close()
    assert not is_open(video)
    assert len(list(source)) == FRAMES and not is_open(video)


@pytest.mark.parametrize('fps', [0., float('nan')])
def test_a_rate_that_the_file_does_not_say(video, monkeypatch, fps):
    monkeypatch.setattr(inputs.mmcv.VideoReader, 'fps', property(lambda self: fps))
    assert open_source(video).fps == inputs.FALLBACK_FPS
