# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""The head: a ray-cast ellipsoid with hair behind a cutting plane, and a face where it shows."""
from __future__ import annotations

import cv2
import numpy as np

from .body import SIDES, Figure
from .drawing import Canvas, disc, ellipsoid, hull, scaled
from .outfit import Outfit
from .parts import Part

_HAIR_SIZE = 1.07  # hair stands off the skull
_HAT_LINE = -.36  # a hat covers the skull above this height, in semi-axes


def draw_long_hair(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Hair down the neck; drawn before the head, and before or after the torso by its depth."""
    start, end = figure.points['head'], hair_end(figure)
    radius = figure.build.head[0] * figure.scale
    canvas.capsule(start, end, (1.12 * radius, .85 * radius), outfit.hair, Part.HAIR)


def hair_end(figure: Figure) -> np.ndarray:
    """Where long hair ends: behind the shoulder line, (3,)."""
    back = figure.torso @ np.array([0, .02, -.055 * figure.build.girth])
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
    if outfit.hat and figure.head[2, 2] > -.2:
        _draw_brim(canvas, figure, outfit)


def _draw_ear(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    axes = figure.build.head * figure.scale * (.12, .24, .2)
    outline = ellipsoid(figure.points[f'{side}_ear'], axes, figure.head)
    if outfit.covers_ears:
        canvas.convex(outline, outfit.hair, Part.HAIR)
    else:
        canvas.convex(outline, scaled(outfit.skin, .92), Part.of(side, 'ear'))


def _draw_skull(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    center, axes = figure.points['head'], figure.build.head * figure.scale
    skull = ellipsoid(center, axes, figure.head)
    canvas.convex(skull, outfit.skin, Part.HEAD)
    outline = ellipsoid(center, axes * _HAIR_SIZE, figure.head)
    image, _, corner = canvas.window(outline, Part.HEAD)
    if not image.size:
        return
    surface, inside = _surface(image.shape[:2], corner, center, axes * _HAIR_SIZE, figure.head)
    tilt = np.radians(outfit.hair_tilt)
    hair = -np.cos(tilt) * surface[1] - np.sin(tilt) * surface[2] > outfit.hair_line
    covers = [(inside & hair, outfit.hair)]
    if outfit.hat:
        covers.append((inside & (surface[1] < _HAT_LINE), outfit.hat))
    x, y = corner
    parts = canvas.parts[y:y + image.shape[0], x:x + image.shape[1]]
    for mask, color in covers:
        image[mask] = color
        parts[mask] = Part.HAIR
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL,
                                       cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, scaled(color, .75), 1, cv2.LINE_AA)


def _surface(shape: tuple[int, int], corner: np.ndarray, center: np.ndarray, axes: np.ndarray,
             rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest point of an ellipsoid behind each pixel of a window.

    Returns (3, h, w) points in the ellipsoid's own frame, in semi-axes (a unit sphere), and the
    (h, w) mask of the pixels that hit it.
    """
    y, x = np.mgrid[:shape[0], :shape[1]] + (corner[::-1] - center[1::-1])[:, None, None]
    to_unit = rotation.T / axes[:, None]
    flat = np.tensordot(to_unit[:, :2], np.stack([x, y]), 1)
    ray = to_unit[:, 2]
    squared, half = ray @ ray, np.tensordot(ray, flat, 1)
    root = half ** 2 - squared * ((flat ** 2).sum(0) - 1)
    depth = (np.sqrt(np.maximum(root, 0)) - half) / squared
    return flat + depth * ray[:, None, None], root > 0


def _draw_face(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Eyes, brows, nose and mouth: details only, the joints' pixels stay the head's."""
    center, size = figure.points['head'], figure.build.head[0] * figure.scale
    dark = scaled(outfit.skin, .55)

    def at(x: float, y: float, z: float) -> np.ndarray:
        return center + figure.head @ (figure.build.head * figure.scale * np.array([x, y, z]))

    for side, sign in zip(SIDES, (1, -1)):
        eye = figure.points[f'{side}_eye']
        if eye[2] - center[2] < .12 * size:
            continue
        canvas.plain(disc(eye, .21 * size), (245, 245, 245))
        canvas.plain(disc(eye, .13 * size), (30, 25, 20))
        brow = [at(sign * x, -.36, .86)[:2] for x in (.22, .62)]
        canvas.line(np.array(brow), scaled(outfit.hair, .8), .1 * size)
    if figure.head[2, 2] > .15:
        mouth = np.array([at(x, y, .82)[:2] for x, y in ((-.32, .50), (0, .57), (.32, .50))])
        canvas.line(mouth, (60, 50, 150), .12 * size)
    nose = figure.points['nose']
    if nose[2] > center[2] - .05 * size:
        bridge, base = at(0, -.12, .97), at(0, .2, .97)
        outline = hull(disc(bridge, .05 * size), disc(nose, .13 * size), disc(base, .12 * size))
        canvas.convex(outline, scaled(outfit.skin, .95), Part.HEAD)
        canvas.line(np.stack([base[:2] - (.1 * size, 0), base[:2] + (.1 * size, 0)]), dark, 1)


def _draw_brim(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    axes = figure.build.head * figure.scale
    center = figure.points['head'] + figure.head @ (axes * (0, -.42, .95))
    outline = ellipsoid(center, axes * (.85, .10, .75), figure.head)
    canvas.convex(outline, scaled(outfit.hat, .8), Part.HAIR)
