# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""The articulated figure: build, forward kinematics and the 17 COCO joints.

Camera coordinates: x to the right of the image, y down, z towards the viewer, orthographic.
Body coordinates: x to the person's left, y down, z to the person's front, so that both frames
coincide for a person who faces the camera. The unit is the standing height until
:meth:`Figure.place` turns it into pixels.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .poses import Pose

SIDES = ('left', 'right')
KEYPOINT_NAMES = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder',
                  'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
                  'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle')
DOWN = np.array([0., 1., 0.])


@dataclass(frozen=True)
class Build:
    """Lengths of one person in standing heights; widths are from the middle to one side."""
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
    def sample(cls, rng: np.random.Generator) -> Build:
        """A random build: slim to stout, long- or short-legged, small or large head."""
        def around(mean: float, spread: float = .05) -> float:
            return mean * float(np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))

        size = around(1., .08)
        legs = around(1., .04)
        return cls(head=np.array([.060, .080, .068]) * size, neck=around(.045),
                   torso=around(.285), shoulder=around(.108, .07), hip=around(.062, .07),
                   upper_arm=around(.165), forearm=around(.150), thigh=around(.235) * legs,
                   shin=around(.225) * legs, foot=around(.10), girth=float(rng.uniform(.85, 1.25)))


@dataclass(frozen=True)
class Figure:
    """A posed person in camera coordinates.

    ``points`` maps names (the COCO joints and the drawing's helper points) to (3,) positions;
    ``torso``, ``pelvis`` and ``head`` are (3, 3) rotations from body to camera coordinates;
    ``scale`` is the standing height in the unit of ``points``.
    """
    build: Build
    pose: Pose
    points: dict[str, np.ndarray]
    torso: np.ndarray
    pelvis: np.ndarray
    head: np.ndarray
    scale: float = 1.

    def joints(self) -> np.ndarray:
        """The COCO joints, (17, 3)."""
        return np.stack([self.points[name] for name in KEYPOINT_NAMES])

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest x, y of the figure's points with a margin for the flesh."""
        flat = np.stack(list(self.points.values()))[:, :2]
        margin = .05 * self.scale
        return flat.min(0) - margin, flat.max(0) + margin

    def place(self, scale: float, origin: np.ndarray) -> Figure:
        """The same figure in pixels: ``scale`` px a standing height, pelvis at ``origin`` (2,)."""
        shift = np.array([origin[0], origin[1], 0.])
        points = {name: point * scale + shift for name, point in self.points.items()}
        return replace(self, points=points, scale=self.scale * scale)


def turn_x(degrees: float) -> np.ndarray:
    """Rotation that swings 'down' towards 'front' (flexion of a hanging limb)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(degrees: float) -> np.ndarray:
    """Rotation that swings 'front' towards 'left' (for a person facing us: to image right)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(degrees: float) -> np.ndarray:
    """Rotation that swings 'down' towards 'left' (abduction of a left limb)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def pose_figure(build: Build, pose: Pose) -> Figure:
    """Forward kinematics, pelvis at the origin, in standing heights."""
    pelvis = turn_z(pose.roll) @ turn_x(-pose.pitch) @ turn_y(pose.yaw)
    torso = pelvis @ turn_x(-pose.lean) @ turn_z(pose.bend) @ turn_y(pose.twist)
    head = torso @ turn_y(pose.head_yaw) @ turn_x(-pose.head_nod)
    points = {'pelvis': np.zeros(3), 'waist': -.40 * build.torso * torso @ DOWN,
              'chest': -.82 * build.torso * torso @ DOWN, 'neck': -build.torso * torso @ DOWN}
    for index, (name, sign) in enumerate(zip(SIDES, (1, -1))):
        points.update(_arm(build, torso, points['neck'], name, sign, pose.arms[index]))
        points.update(_leg(build, pelvis, name, sign, pose.legs[index]))
    points.update(_head(build, torso, head, points['neck']))
    return Figure(build, pose, points, torso, pelvis, head)


def _arm(build: Build, torso: np.ndarray, neck: np.ndarray, name: str, sign: int,
         angles: np.ndarray) -> dict[str, np.ndarray]:
    flexion, abduction, twist, elbow = angles
    upper = torso @ turn_z(sign * abduction) @ turn_x(flexion) @ turn_y(sign * twist)
    fore = upper @ turn_x(elbow)
    # a raised arm takes the shoulder joint a little up with it
    lift = .025 * max(0., -(turn_z(abduction) @ turn_x(flexion) @ DOWN)[1])
    shoulder = neck + torso @ np.array([sign * build.shoulder, .02 - lift, 0])
    elbow_at = shoulder + build.upper_arm * upper @ DOWN
    wrist = elbow_at + build.forearm * fore @ DOWN
    return {f'{name}_shoulder': shoulder, f'{name}_elbow': elbow_at, f'{name}_wrist': wrist,
            f'{name}_hand': wrist + .055 * fore @ DOWN,
            f'{name}_thumb': wrist + fore @ np.array([-sign * .01, .03, .024])}


def _leg(build: Build, pelvis: np.ndarray, name: str, sign: int,
         angles: np.ndarray) -> dict[str, np.ndarray]:
    flexion, abduction, twist, knee = angles
    thigh = pelvis @ turn_z(sign * abduction) @ turn_x(flexion) @ turn_y(sign * twist)
    shin = thigh @ turn_x(-knee)
    hip = pelvis @ np.array([sign * build.hip, 0, 0])
    knee_at = hip + build.thigh * thigh @ DOWN
    ankle = knee_at + build.shin * shin @ DOWN
    return {f'{name}_hip': hip, f'{name}_knee': knee_at, f'{name}_ankle': ankle,
            f'{name}_heel': ankle + shin @ np.array([0, .024, -.018]),
            f'{name}_toe': ankle + shin @ np.array([sign * .012, .032, build.foot * .85])}


def _head(build: Build, torso: np.ndarray, head: np.ndarray,
          neck: np.ndarray) -> dict[str, np.ndarray]:
    base = neck - build.neck * torso @ DOWN
    center = base - .85 * build.head[1] * head @ DOWN

    def on_head(x: float, y: float, z: float) -> np.ndarray:
        return center + head @ (build.head * np.array([x, y, z]))

    return {'head_base': base, 'head': center, 'crown': on_head(0, -1, 0),
            'nose': on_head(0, .18, 1.06),
            'left_eye': on_head(.42, -.14, .89), 'right_eye': on_head(-.42, -.14, .89),
            'left_ear': on_head(1.06, .04, -.08), 'right_ear': on_head(-1.06, .04, -.08)}
