"""The body: random poses as joint angles, body lengths, forward kinematics and the 17 COCO joints.

Camera coordinates: x to the right of the image, y down, z towards the viewer, orthographic. Body coordinates: x to the
person's left, y down, z to the person's front, so that both frames are the same for a person who faces the camera. The
unit of length is the standing height until :meth:`Figure.place` converts it to pixels.
"""
from dataclasses import dataclass, field, replace
from typing import Dict, Tuple

import numpy as np

# ---------------------------------------------------------------- poses

POSES = {'stand': 0.34, 'walk': 0.17, 'gesture': 0.14, 'arms_up': 0.12, 'run': 0.08, 'sit': 0.08, 'crouch': 0.04,
         'lie': 0.03}
"""Share of people in each kind of pose; easy poses are frequent, hard ones are rare."""
FACINGS = ((0.48, 0., 18.), (0.26, 180., 18.), (0.08, 45., 12.), (0.08, -45., 12.), (0.05, 90., 12.),
           (0.05, -90., 12.))
"""Share, mean and standard deviation of the facing angle."""


def _limbs() -> np.ndarray:
    return np.zeros((2, 4))


@dataclass
class Pose:
    """Joint angles in degrees; all zero is a person at attention who faces the camera.

    ``yaw`` turns the person (0 faces us, 180 shows the back), ``pitch`` is how far the camera looks down, ``roll``
    turns the image plane. ``lean`` is forwards, ``bend`` sideways. ``arms`` and ``legs`` are (2, 4): rows left, right;
    columns flexion (forwards), abduction (outwards), twist and the elbow's or knee's flexion (0 to 150).
    """
    yaw: float = 0.
    pitch: float = 0.
    roll: float = 0.
    lean: float = 0.
    bend: float = 0.
    twist: float = 0.
    head_yaw: float = 0.
    head_nod: float = 0.
    arms: np.ndarray = field(default_factory=_limbs)
    legs: np.ndarray = field(default_factory=_limbs)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Pose':
        """A random pose, facing and camera."""
        share, means, spreads = np.array(FACINGS).T
        facing = rng.choice(len(FACINGS), p=share)
        pose = cls(
            yaw=rng.normal(means[facing], spreads[facing]),
            pitch=rng.uniform(0, 14),
            roll=rng.normal(0, 4),
            bend=rng.normal(0, 4),
            twist=rng.normal(0, 6),
            head_yaw=np.clip(rng.normal(0, 16), -45, 45),
            head_nod=rng.normal(2, 6))
        pose.arms[:] = np.stack(
            [rng.normal(0, 10, 2), rng.uniform(5, 25, 2), rng.normal(0, 15, 2), rng.uniform(3, 35, 2)], 1)
        pose.legs[:] = np.stack(
            [rng.normal(0, 5, 2), rng.uniform(1, 9, 2), rng.uniform(0, 20, 2), rng.uniform(0, 8, 2)], 1)
        kind = rng.choice(list(POSES), p=list(POSES.values()))
        _CHANGES[kind](pose, rng)
        pose.arms[:, 3] = np.clip(pose.arms[:, 3], 0, 145)
        pose.legs[:, 3] = np.clip(pose.legs[:, 3], 0, 150)
        return pose


def _stand(pose: Pose, rng: np.random.Generator) -> None:
    if rng.random() < 0.3:  # feet apart
        pose.legs[:, 1] = rng.uniform(8, 22, 2)


def _walk(pose: Pose, rng: np.random.Generator) -> None:
    front = rng.integers(2)
    swing = rng.uniform(12, 32)
    pose.legs[front, 0], pose.legs[1 - front, 0] = swing, -0.7 * swing
    pose.legs[1 - front, 3] = rng.uniform(10, 45)
    pose.arms[front, 0], pose.arms[1 - front, 0] = -swing, swing
    pose.arms[:, 3] = rng.uniform(10, 50, 2)


def _run(pose: Pose, rng: np.random.Generator) -> None:
    front = rng.integers(2)
    pose.lean = rng.uniform(5, 20)
    pose.head_nod -= pose.lean
    pose.legs[front, [0, 3]] = rng.uniform([35, 30], [75, 90])
    pose.legs[1 - front, [0, 3]] = rng.uniform([-35, 20], [-5, 100])
    pose.arms[front, 0], pose.arms[1 - front, 0] = rng.uniform([-55, 15], [-25, 50])
    pose.arms[:, 3] = rng.uniform(70, 115, 2)


def _sit(pose: Pose, rng: np.random.Generator) -> None:
    pose.lean = rng.uniform(-10, 15)
    pose.pitch = rng.uniform(6, 24)
    pose.legs[:] = np.stack(
        [rng.uniform(70, 95, 2), rng.uniform(3, 22, 2), rng.normal(0, 6, 2), rng.uniform(65, 100, 2)], 1)
    pose.arms[:, 0] = rng.uniform(0, 40, 2)
    pose.arms[:, 3] = rng.uniform(10, 80, 2)


def _crouch(pose: Pose, rng: np.random.Generator) -> None:
    pose.lean = rng.uniform(15, 40)
    pose.head_nod -= 0.8 * pose.lean
    pose.legs[:] = np.stack(
        [rng.uniform(75, 115, 2), rng.uniform(5, 30, 2), rng.normal(0, 6, 2), rng.uniform(95, 140, 2)], 1)
    pose.arms[:, 0] = rng.uniform(10, 70, 2)


def _lie(pose: Pose, rng: np.random.Generator) -> None:
    pose.roll = rng.choice([-90, 90]) + rng.normal(0, 12)
    pose.legs[:, 0] = rng.uniform(-5, 40, 2)
    pose.legs[:, 3] = rng.uniform(0, 60, 2)


def _arms_up(pose: Pose, rng: np.random.Generator) -> None:
    for side in (0, 1) if rng.random() < 0.6 else (rng.integers(2), ):
        pose.arms[side] = rng.uniform([-10, 85, -180, 0], [25, 170, -90, 70])


def _gesture(pose: Pose, rng: np.random.Generator) -> None:
    choice = rng.random()
    for side in (0, 1) if rng.random() < 0.5 else (rng.integers(2), ):
        if choice < 0.35:  # hand on the hip
            pose.arms[side] = rng.uniform([-25, 35, -100, 75], [0, 55, -75, 105])
        else:
            pose.arms[side] = rng.uniform([-10, 5, -80, 10], [85, 85, 30, 110])


_CHANGES = {'stand': _stand, 'walk': _walk, 'run': _run, 'sit': _sit, 'crouch': _crouch, 'lie': _lie,
            'arms_up': _arms_up, 'gesture': _gesture}


# ---------------------------------------------------------------- figure

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
