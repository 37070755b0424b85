"""Random poses as joint angles, in degrees."""
from dataclasses import dataclass, field

import numpy as np

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
