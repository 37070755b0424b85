"""The head: a ray-cast ellipsoid with hair behind a cutting plane, and a face where it can be seen."""
from typing import List, Tuple

import cv2
import numpy as np

from mmpose_mspn.synthetic_people.body import SIDES, Figure
from mmpose_mspn.synthetic_people.drawing import Canvas, Color, disc, ellipsoid, hull, scaled
from mmpose_mspn.synthetic_people.outfit import Outfit, Part

HAIR_SIZE = 1.07
"""Size of the head with hair over that of the skull."""
HAT_LINE = -0.36
"""Height in semi-axes above which a hat covers the skull; up is negative."""


def draw_long_hair(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Hair down the neck; drawn before the head, and before or after the torso by its depth."""
    start, end = figure.points['head'], hair_end(figure)
    radius = figure.build.head[0] * figure.scale
    canvas.capsule(start, end, (1.12 * radius, 0.85 * radius), outfit.hair, Part.HAIR)


def hair_end(figure: Figure) -> np.ndarray:
    """(3,), where long hair ends: behind the shoulder line."""
    back = figure.torso @ np.array([0, 0.02, -0.055 * figure.build.girth])
    return figure.points['neck'] + figure.scale * back


def draw_head(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Ears, skull with hair or hat, and the face where it is turned to the viewer."""
    near = {side: figure.points[f'{side}_ear'][2] > figure.points['head'][2] for side in SIDES}
    for side in SIDES:
        if not near[side]:
            _draw_ear(canvas, figure, outfit, side)
    _draw_skull(canvas, figure, outfit)
    for side in SIDES:
        if near[side]:
            _draw_ear(canvas, figure, outfit, side)
    _draw_face(canvas, figure, outfit)
    if outfit.hat and figure.head[2, 2] > -0.2:
        _draw_brim(canvas, figure, outfit)


def _draw_ear(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    axes = figure.build.head * figure.scale * (0.12, 0.24, 0.2)
    outline = ellipsoid(figure.points[f'{side}_ear'], axes, figure.head)
    if outfit.covers_ears:
        canvas.convex(outline, outfit.hair, Part.HAIR)
    else:
        canvas.convex(outline, scaled(outfit.skin, 0.92), Part.of(side, 'ear'))


def _draw_skull(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    center, axes = figure.points['head'], figure.build.head * figure.scale
    canvas.convex(ellipsoid(center, axes, figure.head), outfit.skin, Part.HEAD)
    outline = ellipsoid(center, axes * HAIR_SIZE, figure.head)
    image, _, (x, y) = canvas.window(outline, Part.HEAD)
    if not image.size:
        return
    surface, inside = _surface(image.shape[:2], np.array([x, y]), center, axes * HAIR_SIZE, figure.head)
    parts = canvas.parts[y:y + image.shape[0], x:x + image.shape[1]]
    for mask, color in _head_covers(outfit, surface, inside):
        image[mask] = color
        parts[mask] = Part.HAIR
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, scaled(color, 0.75), 1, cv2.LINE_AA)


def _head_covers(outfit: Outfit, surface: np.ndarray, inside: np.ndarray) -> List[Tuple[np.ndarray, Color]]:
    """Masks (h, w) and colors of the hair and of the hat, by :func:`_surface`."""
    tilt = np.radians(outfit.hair_tilt)
    hair = -np.cos(tilt) * surface[1] - np.sin(tilt) * surface[2] > outfit.hair_line
    covers = [(inside & hair, outfit.hair)]
    if outfit.hat:
        covers.append((inside & (surface[1] < HAT_LINE), outfit.hat))
    return covers


def _surface(shape: Tuple[int, int], corner: np.ndarray, center: np.ndarray, axes: np.ndarray,
             rotation: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The nearest point of an ellipsoid behind each pixel of a window.

    Args:
        shape: (h, w) of the window.
        corner: (2,), px (x, y) of its top left corner.
        center: (3,), px of the ellipsoid's center.
        axes: (3,), its semi-axes in px.
        rotation: (3, 3), from its own frame to camera coordinates.

    Returns:
        (3, h, w) points in the ellipsoid's own frame, in semi-axes (a unit sphere), and the (h, w) mask of the pixels
        that hit it.
    """
    y, x = np.mgrid[:shape[0], :shape[1]] + (corner[::-1] - center[1::-1])[:, None, None]
    to_unit = rotation.T / axes[:, None]
    flat = np.tensordot(to_unit[:, :2], np.stack([x, y]), 1)
    ray = to_unit[:, 2]
    squared, half = ray @ ray, np.tensordot(ray, flat, 1)
    root = half**2 - squared * ((flat**2).sum(0) - 1)
    depth = (np.sqrt(np.maximum(root, 0)) - half) / squared
    return flat + depth * ray[:, None, None], root > 0


def _on_head(figure: Figure, x: float, y: float, z: float) -> np.ndarray:
    """(3,) px of a point in the head's frame, in semi-axes."""
    return figure.points['head'] + figure.head @ (figure.build.head * figure.scale * np.array([x, y, z]))


def _draw_face(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Eyes, brows, mouth and nose: details only, the pixels of the joints keep the part of the head."""
    for side, sign in zip(SIDES, (1, -1)):
        _draw_eye(canvas, figure, outfit, side, sign)
    size = figure.build.head[0] * figure.scale
    if figure.head[2, 2] > 0.15:
        mouth = np.array([_on_head(figure, x, y, 0.82)[:2] for x, y in ((-0.32, 0.50), (0, 0.57), (0.32, 0.50))])
        canvas.line(mouth, (60, 50, 150), 0.12 * size)
    _draw_nose(canvas, figure, outfit)


def _draw_eye(canvas: Canvas, figure: Figure, outfit: Outfit, side: str, sign: int) -> None:
    """An eye and its brow, if they are on the near side of the head."""
    eye, size = figure.points[f'{side}_eye'], figure.build.head[0] * figure.scale
    if eye[2] - figure.points['head'][2] < 0.12 * size:
        return
    canvas.plain(disc(eye, 0.21 * size), (245, 245, 245))
    canvas.plain(disc(eye, 0.13 * size), (30, 25, 20))
    brow = [_on_head(figure, sign * x, -0.36, 0.86)[:2] for x in (0.22, 0.62)]
    canvas.line(np.array(brow), scaled(outfit.hair, 0.8), 0.1 * size)


def _draw_nose(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    nose, size = figure.points['nose'], figure.build.head[0] * figure.scale
    if nose[2] <= figure.points['head'][2] - 0.05 * size:
        return
    bridge, base = _on_head(figure, 0, -0.12, 0.97), _on_head(figure, 0, 0.2, 0.97)
    outline = hull(disc(bridge, 0.05 * size), disc(nose, 0.13 * size), disc(base, 0.12 * size))
    canvas.convex(outline, scaled(outfit.skin, 0.95), Part.HEAD)
    nostrils = np.stack([base[:2] - (0.1 * size, 0), base[:2] + (0.1 * size, 0)])
    canvas.line(nostrils, scaled(outfit.skin, 0.55), 1)


def _draw_brim(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The brim of a hat."""
    axes = figure.build.head * figure.scale
    center = figure.points['head'] + figure.head @ (axes * (0, -0.42, 0.95))
    outline = ellipsoid(center, axes * (0.85, 0.10, 0.75), figure.head)
    canvas.convex(outline, scaled(outfit.hat, 0.8), Part.HAIR)
