"""The articulated figure: body lengths, forward kinematics and the 17 COCO joints.

Camera coordinates: x to the right of the image, y down, z towards the viewer, orthographic. Body coordinates: x to the
person's left, y down, z to the person's front, so that both frames are the same for a person who faces the camera. The
unit of length is the standing height until :meth:`Figure.place` converts it to pixels.
"""
from dataclasses import dataclass, replace
from typing import Dict, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.poses import Pose

Points = Dict[str, np.ndarray]
"""Positions (3,) by name."""

SIDES = ('left', 'right')
KEYPOINT_NAMES = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
                  'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
                  'right_knee', 'left_ankle', 'right_ankle')
DOWN = np.array([0., 1., 0.])


@dataclass(frozen=True)
class Build:
    """Lengths of one person's body in standing heights; widths are from the middle to one side."""
    head: np.ndarray  # (3,) semi-axes: width, height, depth
    neck: float
    torso: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    foot: float
    girth: float  # factor on every thickness

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Build':
        """A random build: slim to stout, long- or short-legged, small or large head."""
        def around(mean: float, spread: float = 0.05) -> float:
            return mean * float(np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))

        size = around(1., 0.08)
        legs = around(1., 0.04)
        return cls(
            head=np.array([0.060, 0.080, 0.068]) * size,
            neck=around(0.045),
            torso=around(0.285),
            shoulder=around(0.108, 0.07),
            hip=around(0.062, 0.07),
            upper_arm=around(0.165),
            forearm=around(0.150),
            thigh=around(0.235) * legs,
            shin=around(0.225) * legs,
            foot=around(0.10),
            girth=float(rng.uniform(0.85, 1.25)))


@dataclass(frozen=True)
class Figure:
    """A posed person in camera coordinates.

    ``points`` holds the COCO joints and the helper points of the drawing; ``torso``, ``pelvis`` and ``head`` are (3, 3)
    rotations from body to camera coordinates; ``scale`` is the standing height in the unit of ``points``.
    """
    build: Build
    pose: Pose
    points: Points
    torso: np.ndarray
    pelvis: np.ndarray
    head: np.ndarray
    scale: float = 1.

    def joints(self) -> np.ndarray:
        """The COCO joints, (17, 3)."""
        return np.stack([self.points[name] for name in KEYPOINT_NAMES])

    def extent(self) -> Tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (x, y) of the figure's points, with a margin for the thickness of the body."""
        flat = np.stack(list(self.points.values()))[:, :2]
        margin = 0.05 * self.scale
        return flat.min(0) - margin, flat.max(0) + margin

    def place(self, scale: float, origin: np.ndarray) -> 'Figure':
        """The same figure in pixels.

        Args:
            scale: px in a standing height.
            origin: (2,), px of the pelvis.
        """
        shift = np.array([origin[0], origin[1], 0.])
        points = {name: point * scale + shift for name, point in self.points.items()}
        return replace(self, points=points, scale=self.scale * scale)


def turn_x(degrees: float) -> np.ndarray:
    """Rotation (3, 3) that swings 'down' towards 'front': flexion of a hanging limb."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(degrees: float) -> np.ndarray:
    """Rotation (3, 3) that swings 'front' towards 'left', which is right in the image of a person who faces us."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(degrees: float) -> np.ndarray:
    """Rotation (3, 3) that swings 'down' towards 'left': abduction of a left limb."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def pose_figure(build: Build, pose: Pose) -> Figure:
    """The figure of a build in a pose, in standing heights, its pelvis at the origin."""
    pelvis = turn_z(pose.roll) @ turn_x(-pose.pitch) @ turn_y(pose.yaw)
    torso = pelvis @ turn_x(-pose.lean) @ turn_z(pose.bend) @ turn_y(pose.twist)
    head = torso @ turn_y(pose.head_yaw) @ turn_x(-pose.head_nod)
    points = {'pelvis': np.zeros(3), 'waist': -0.40 * build.torso * torso @ DOWN,
              'chest': -0.82 * build.torso * torso @ DOWN, 'neck': -build.torso * torso @ DOWN}
    for index, (name, sign) in enumerate(zip(SIDES, (1, -1))):
        points.update(_arm(build, torso, points['neck'], name, sign, pose.arms[index]))
        points.update(_leg(build, pelvis, name, sign, pose.legs[index]))
    points.update(_head(build, torso, head, points['neck']))
    return Figure(build, pose, points, torso, pelvis, head)


def _arm(build: Build, torso: np.ndarray, neck: np.ndarray, name: str, sign: int, angles: np.ndarray) -> Points:
    flexion, abduction, twist, elbow = angles
    upper = torso @ turn_z(sign * abduction) @ turn_x(flexion) @ turn_y(sign * twist)
    fore = upper @ turn_x(elbow)
    # A raised arm lifts the shoulder joint a little.
    lift = 0.025 * max(0., -(turn_z(abduction) @ turn_x(flexion) @ DOWN)[1])
    shoulder = neck + torso @ np.array([sign * build.shoulder, 0.02 - lift, 0])
    elbow_at = shoulder + build.upper_arm * upper @ DOWN
    wrist = elbow_at + build.forearm * fore @ DOWN
    return {f'{name}_shoulder': shoulder, f'{name}_elbow': elbow_at, f'{name}_wrist': wrist,
            f'{name}_hand': wrist + 0.055 * fore @ DOWN,
            f'{name}_thumb': wrist + fore @ np.array([-sign * 0.01, 0.03, 0.024])}


def _leg(build: Build, pelvis: np.ndarray, name: str, sign: int, angles: np.ndarray) -> Points:
    flexion, abduction, twist, knee = angles
    thigh = pelvis @ turn_z(sign * abduction) @ turn_x(flexion) @ turn_y(sign * twist)
    shin = thigh @ turn_x(-knee)
    hip = pelvis @ np.array([sign * build.hip, 0, 0])
    knee_at = hip + build.thigh * thigh @ DOWN
    ankle = knee_at + build.shin * shin @ DOWN
    return {f'{name}_hip': hip, f'{name}_knee': knee_at, f'{name}_ankle': ankle,
            f'{name}_heel': ankle + shin @ np.array([0, 0.024, -0.018]),
            f'{name}_toe': ankle + shin @ np.array([sign * 0.012, 0.032, build.foot * 0.85])}


def _head(build: Build, torso: np.ndarray, head: np.ndarray, neck: np.ndarray) -> Points:
    base = neck - build.neck * torso @ DOWN
    center = base - 0.85 * build.head[1] * head @ DOWN

    def on_head(x: float, y: float, z: float) -> np.ndarray:
        return center + head @ (build.head * np.array([x, y, z]))

    return {'head_base': base, 'head': center, 'crown': on_head(0, -1, 0), 'nose': on_head(0, 0.18, 1.06),
            'left_eye': on_head(0.42, -0.14, 0.89), 'right_eye': on_head(-0.42, -0.14, 0.89),
            'left_ear': on_head(1.06, 0.04, -0.08), 'right_ear': on_head(-1.06, 0.04, -0.08)}
