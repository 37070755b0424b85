"""What a person is made of: the parts of the body, which of them show which joints, and clothes and colors."""
import colorsys
from dataclasses import dataclass
from enum import IntEnum
from typing import List, Optional, Set, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.body import KEYPOINT_NAMES, Figure
from mmpose_mspn.synthetic_people.drawing import Color

# ---------------------------------------------------------------- parts


class Part(IntEnum):
    """Values of a parts map; 0 means that the pixel shows no person."""
    TORSO = 1
    PELVIS = 2
    NECK = 3
    HEAD = 4
    HAIR = 5
    LEFT_EAR = 6
    RIGHT_EAR = 7
    LEFT_UPPER_ARM = 8
    RIGHT_UPPER_ARM = 9
    LEFT_FOREARM = 10
    RIGHT_FOREARM = 11
    LEFT_HAND = 12
    RIGHT_HAND = 13
    LEFT_THIGH = 14
    RIGHT_THIGH = 15
    LEFT_SHIN = 16
    RIGHT_SHIN = 17
    LEFT_FOOT = 18
    RIGHT_FOOT = 19
    SKIRT = 20

    @classmethod
    def of(cls, side: str, name: str) -> 'Part':
        """The left or right part of that name, as in ``Part.of('left', 'thigh')``."""
        return cls[f'{side}_{name}'.upper()]


OWN_PARTS = {
    'shoulder': ('upper_arm', ), 'elbow': ('upper_arm', 'forearm'), 'wrist': ('forearm', 'hand'), 'hip': ('thigh', ),
    'knee': ('thigh', 'shin'), 'ankle': ('shin', 'foot'), 'ear': ('ear', )
}
"""The parts that belong to a joint: a pixel of one of them at the joint's place shows the joint."""
SHARED_PARTS = {
    'nose': ('head', 0.1, {Part.HEAD}),
    'eye': ('head', 0.1, {Part.HEAD}),
    'ear': ('head', 0.45, {Part.HEAD}),
    'shoulder': ('neck', 0.85, {Part.TORSO, Part.NECK}),
    'hip': ('pelvis', 0.85, {Part.TORSO, Part.PELVIS, Part.SKIRT}),
}
"""The parts that show a joint only if it is not on their far side.

A middle point, how far behind it the joint may be (in half widths of the pair or of the head), and the parts.
"""


def showing_parts(figure: Figure) -> List[Set[Part]]:
    """For each of the 17 joints, the parts that show it when one of them owns its pixel."""
    width = {'head': figure.build.head[0], 'neck': figure.build.shoulder, 'pelvis': figure.build.hip}
    shown = []
    for name in KEYPOINT_NAMES:
        side, _, kind = name.rpartition('_')
        parts = {Part.of(side, limb) for limb in OWN_PARTS.get(kind, ())}
        if kind in SHARED_PARTS:
            middle, tolerance, shared = SHARED_PARTS[kind]
            behind = (figure.points[middle] - figure.points[name])[2]
            if behind < tolerance * width[middle] * figure.scale:
                parts |= shared
        shown.append(parts)
    return shown


def joints_in_image(figure: Figure, shape: Tuple[int, int]) -> np.ndarray:
    """(17,) bool: whether the joint's nearest pixel exists in an image of ``shape`` (H, W)."""
    pixels = np.rint(figure.joints()[:, :2])
    return ((pixels >= 0) & (pixels < np.array(shape)[::-1])).all(1)


def visible_joints(figure: Figure, parts: np.ndarray) -> np.ndarray:
    """(17,) bool: whether the joint is in the image and its pixel shows a part that it belongs to.

    Args:
        figure: The person, in pixels.
        parts: (H, W) uint8, this person's parts and 0 elsewhere.
    """
    visible = joints_in_image(figure, parts.shape)
    pixels = np.rint(figure.joints()[:, :2]).astype(int)
    for index, shown in enumerate(showing_parts(figure)):
        if visible[index]:
            x, y = pixels[index]
            visible[index] = int(parts[y, x]) in shown
    return visible


# ---------------------------------------------------------------- clothes and colors

SKIN_COLORS = ((196, 214, 245), (160, 190, 232), (125, 165, 215), (85, 125, 180), (55, 85, 135), (38, 58, 92))
HAIR_COLORS = ((25, 22, 20), (30, 42, 62), (45, 70, 110), (90, 150, 200), (130, 200, 225), (35, 75, 160),
               (170, 170, 170))


@dataclass(frozen=True)
class Outfit:
    """Colors and cuts; the left and the right side are the same.

    ``sleeve`` and ``leg`` say how much of the arm or leg is covered: 0 bare, 1 to the elbow or knee, 2 to the wrist or
    ankle. ``hair_tilt`` (degrees) and ``hair_line`` place the plane that cuts the hair off the head. ``pattern`` and
    ``front`` name the shirt's print and its front.
    """
    skin: Color
    hair: Color
    hair_tilt: float
    hair_line: float
    long_hair: bool
    covers_ears: bool
    hat: Optional[Color]
    shirt: Color
    print_color: Color
    pattern: str
    front: str
    sleeve: float
    bottom: Color
    leg: float
    skirt: bool
    shoes: Color

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Outfit':
        """A random outfit."""
        long_hair = bool(rng.random() < 0.28)
        bald = not long_hair and rng.random() < 0.06
        skirt = bool(rng.random() < 0.14)
        return cls(
            skin=_jitter(rng, SKIN_COLORS[rng.integers(len(SKIN_COLORS))]),
            hair=_jitter(rng, HAIR_COLORS[rng.integers(len(HAIR_COLORS))]),
            hair_tilt=float(rng.uniform(32, 55)),
            hair_line=2. if bald else float(rng.uniform(0.12, 0.32)),
            long_hair=long_hair,
            covers_ears=bool(long_hair and rng.random() < 0.4),
            hat=_cloth(rng) if rng.random() < 0.12 else None,
            shirt=_cloth(rng),
            print_color=_cloth(rng),
            pattern=str(rng.choice(['plain', 'bands', 'pinstripes', 'dots', 'block'], p=[0.5, 0.18, 0.1, 0.1, 0.12])),
            front=str(rng.choice(['logo', 'buttons', 'zip', 'collar'])),
            sleeve=float(rng.choice([0, 0.55, 1, 1.6, 2], p=[0.12, 0.38, 0.1, 0.1, 0.3])),
            bottom=_cloth(rng),
            skirt=skirt,
            leg=0.3 if skirt else float(rng.choice([0.6, 0.95, 1.5, 1.95], p=[0.15, 0.15, 0.1, 0.6])),
            shoes=_cloth(rng))


def _jitter(rng: np.random.Generator, color: Color) -> Color:
    """A color near the given one."""
    changed = np.array(color) * rng.uniform(0.9, 1.08) + rng.normal(0, 4, 3)
    return tuple(int(channel) for channel in np.clip(changed, 0, 255))


def _cloth(rng: np.random.Generator) -> Color:
    """A random color of clothes, gray in 3 of 10 cases."""
    gray = rng.random() < 0.3
    hue, saturation, value = rng.random(), rng.uniform(0.25, 0.9), rng.uniform(0.15, 0.95)
    red, green, blue = colorsys.hsv_to_rgb(hue, 0. if gray else saturation, value)
    return int(blue * 255), int(green * 255), int(red * 255)
