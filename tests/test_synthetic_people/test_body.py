"""The articulated figure: a pose turns the bones and keeps their lengths."""
import numpy as np
import pytest

from mmpose_mspn.synthetic_people import Build, Pose, pose_figure


def test_bones_keep_their_length_in_any_pose():
    rng = np.random.default_rng(1)
    for _ in range(50):
        figure = pose_figure(Build.sample(rng), Pose.sample(rng))
        for start, end, length in (('shoulder', 'elbow', 'upper_arm'), ('elbow', 'wrist', 'forearm'),
                                   ('hip', 'knee', 'thigh'), ('knee', 'ankle', 'shin')):
            for side in ('left', 'right'):
                bone = figure.points[f'{side}_{end}'] - figure.points[f'{side}_{start}']
                assert np.linalg.norm(bone) == pytest.approx(getattr(figure.build, length))
