"""Videos with drawings: whole, or not there."""
import cv2
import numpy as np
import pytest

from mmpose_mspn.apis.drawing import VideoWriter
from mmpose_mspn.apis.inputs import Frame
from tests.launching import python


def test_video_of_odd_size_and_after_an_error(tmp_path):
    frame = Frame('odd.avi', np.full((61, 75, 3), 128, np.uint8), 0)
    with VideoWriter(tmp_path, 'odd', 10) as writer:
        writer.write(frame, frame.image)
    assert cv2.VideoCapture(str(tmp_path / 'odd.mp4')).read()[1].shape == (60, 74, 3)
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path, 'broken', 10) as writer:
        writer.write(frame, frame.image)
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.glob('[!.]*')] == ['odd.mp4']


def test_a_folder_in_the_place_of_a_video(tmp_path):
    (tmp_path / 'taken.mp4').mkdir()
    frame = Frame('taken.avi', np.full((60, 74, 3), 128, np.uint8), 0)
    with pytest.raises(OSError, match='taken.mp4 could not be written: Is a directory'), VideoWriter(
            tmp_path, 'taken', 10) as writer:
        writer.write(frame, frame.image)
    assert [path.name for path in tmp_path.glob('[!.]*')] == ['taken.mp4']


def test_a_video_on_a_full_disk_is_refused_and_removed(tmp_path):
    """A process with a limit of the file size stands for a disk that is full."""
    script = (
        'import resource, signal, sys\nimport numpy as np\n'
        'import mmpose_mspn\nfrom pathlib import Path\n'
        'from mmpose_mspn.apis.inputs import Frame\nfrom mmpose_mspn.apis.drawing import VideoWriter\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))\n'
        'draw = np.random.default_rng(0)\n'
        'with VideoWriter(Path(sys.argv[1]), "noise", 10) as writer:\n'
        '    for number in range(30):\n'
        '        frame = Frame("noise.avi", draw.integers(0, 256, (64, 96, 3), dtype=np.uint8), number)\n'
        '        writer.write(frame, frame.image)\n')
    done = python('-c', script, tmp_path)
    assert done.returncode == 1 and 'of 30 frames can be read again; check the free space' in done.stderr
    assert not list(tmp_path.glob('[!.]*'))
