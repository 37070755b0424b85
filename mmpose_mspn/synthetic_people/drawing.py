"""Drawing primitives: shaded convex shapes on an image, and a map of the part that each pixel shows."""
from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

Color = Tuple[int, int, int]
"""BGR, 0 to 255."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with: joints stay exact below a pixel."""
_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)
"""(16, 2), points of the unit circle."""


def scaled(color: Color, factor: float) -> Color:
    """The color made darker (factor < 1) or lighter (> 1), clipped to 255."""
    return tuple(min(255, int(channel * factor)) for channel in color)


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates as OpenCV's fixed-point integers."""
    return np.rint(np.asarray(points) * (1 << SHIFT)).astype(np.int32)


def hull(*outlines: np.ndarray) -> np.ndarray:
    """Convex hull of several (n, 2) outlines."""
    return cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0]


def disc(center: np.ndarray, radius: float) -> np.ndarray:
    """Outline (16, 2) of a disc; of ``center``, only x and y are used."""
    return center[:2] + radius * CIRCLE


def ellipsoid(center: np.ndarray, axes: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Outline (16, 2) of an ellipsoid's orthographic projection.

    Args:
        center: (3,) px.
        axes: (3,), semi-axes in px.
        rotation: (3, 3), from the ellipsoid's frame to camera coordinates.
    """
    # The projection of {R diag(axes) u : |u| <= 1} is the ellipse of the Gram matrix's 2×2 block.
    flat = (rotation * axes)[:2]
    values, vectors = np.linalg.eigh(flat @ flat.T)
    return center[:2] + (CIRCLE * np.sqrt(np.maximum(values, 0))) @ vectors.T


@dataclass
class Canvas:
    """What one person is drawn on.

    ``image`` is (H, W, 3) uint8 BGR. ``parts`` is (H, W) uint8: the person's body part that a pixel shows, 0 where the
    person is not drawn. ``light`` (2,) is the unit vector towards the light. ``edge`` is the factor on a color that
    gives the color of its outline.
    """
    image: np.ndarray
    parts: np.ndarray
    light: np.ndarray
    edge: float = 0.6

    def convex(self, outline: np.ndarray, color: Color, part: int) -> None:
        """Fill a convex outline and give it a dark edge."""
        points = fixed(outline)
        cv2.fillConvexPoly(self.image, points, color, cv2.LINE_AA, SHIFT)
        cv2.polylines(self.image, [points], True, scaled(color, self.edge), 1, cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(self.parts, points, part, cv2.LINE_8, SHIFT)

    def capsule(self, start: np.ndarray, end: np.ndarray, radii: Tuple[float, float], color: Color, part: int) -> None:
        """A limb: two discs and the area between them, with a lit side."""
        self.convex(hull(disc(start, radii[0]), disc(end, radii[1])), color, part)
        lit = [point[:2] + 0.3 * radius * self.light for point, radius in zip((start, end), radii)]
        self.plain(hull(disc(lit[0], 0.45 * radii[0]), disc(lit[1], 0.45 * radii[1])), scaled(color, 1.14))

    def plain(self, outline: np.ndarray, color: Color) -> None:
        """Fill a convex outline on the image only: a detail on a part that is already drawn."""
        cv2.fillConvexPoly(self.image, fixed(outline), color, cv2.LINE_AA, SHIFT)

    def line(self, points: np.ndarray, color: Color, width: float) -> None:
        """An open line of ``width`` px (at least 1) on the image only."""
        cv2.polylines(self.image, [fixed(points)], False, color, max(1, round(width)), cv2.LINE_AA, SHIFT)

    def window(self, outline: np.ndarray, part: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The image under an outline's box, the mask of ``part`` in it and its top left corner (x, y)."""
        height, width = self.parts.shape
        low = np.clip(np.floor(outline.min(0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(outline.max(0)) + 1, low, (width, height)).astype(int)
        where = np.s_[low[1]:high[1], low[0]:high[0]]
        return self.image[where], (self.parts[where] == part), low
