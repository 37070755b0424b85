"""The body parts of a parts map, and the rule that says which joints are visible."""
from enum import IntEnum
from typing import List, Set, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.body import KEYPOINT_NAMES, Figure


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
        parts = {Part.of(side, own) for own in OWN_PARTS.get(kind, ())}
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
