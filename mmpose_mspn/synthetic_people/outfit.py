"""A person's clothes and the colors of skin and hair, drawn at random."""
import colorsys
from dataclasses import dataclass
from typing import Optional

import numpy as np

from mmpose_mspn.synthetic_people.drawing import Color

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
