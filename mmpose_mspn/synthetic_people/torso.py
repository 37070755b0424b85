"""Chest, waist and hips with the shirt's print and its front, and skirts."""
from typing import NamedTuple, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.body import SIDES, Figure
from mmpose_mspn.synthetic_people.drawing import Canvas, Color, disc, ellipsoid, hull, scaled
from mmpose_mspn.synthetic_people.outfit import Outfit
from mmpose_mspn.synthetic_people.parts import Part


def _block(figure: Figure, name: str, axes: Tuple[float, float, float], rotation: np.ndarray) -> np.ndarray:
    """Outline (16, 2) of an ellipsoid around a point, with semi-axes in standing heights."""
    girth = np.array([1, 1, figure.build.girth])
    return ellipsoid(figure.points[name], np.array(axes) * girth * figure.scale, rotation)


def _chest(figure: Figure) -> np.ndarray:
    return _block(figure, 'chest', (figure.build.shoulder * 0.98, 0.058, 0.056), figure.torso)


def _waist(figure: Figure) -> np.ndarray:
    width = 0.070 * figure.build.girth + 0.012
    return _block(figure, 'waist', (width, 0.045, 0.054), figure.torso)


def _hips(figure: Figure) -> np.ndarray:
    width = figure.build.hip + 0.034 * figure.build.girth
    return _block(figure, 'pelvis', (width, 0.045, 0.058), figure.pelvis)


def draw_pelvis(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The upper end of trousers or skirt."""
    canvas.convex(hull(_hips(figure), _waist(figure)), outfit.bottom, Part.PELVIS)


def draw_skirt(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """A skirt from the hips to three quarters of the thighs."""
    hem = []
    for side in SIDES:
        hip, knee = figure.points[f'{side}_hip'], figure.points[f'{side}_knee']
        hem.append(disc(hip + 0.72 * (knee - hip), 0.066 * figure.scale))
    canvas.convex(hull(_hips(figure), *hem), outfit.bottom, Part.SKIRT)


def draw_torso(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The shirt from the chest to below the waist, its print, and the details of its front or back."""
    chest, waist, hips = _chest(figure), _waist(figure), _hips(figure)
    radius = 0.030 * figure.scale
    shoulders = [disc(figure.points[f'{side}_shoulder'], radius) for side in SIDES]
    pelvis, middle = figure.points['pelvis'], figure.points['waist']
    hem = (hips - pelvis[:2]) * (1, 0.75) + (0.72 * pelvis + 0.28 * middle)[:2]
    lower, upper = hull(waist, hem), hull(chest, waist, *shoulders)
    canvas.convex(lower, outfit.shirt, Part.TORSO)
    canvas.convex(upper, outfit.shirt, Part.TORSO)
    _draw_seam(canvas, waist, outfit)
    _draw_print(canvas, figure, outfit, np.concatenate([lower, upper]))
    if figure.torso[2, 2] > 0.2:
        _draw_front(canvas, figure, outfit)
    elif figure.torso[2, 2] < -0.2:
        _draw_back(canvas, figure, outfit)


def _draw_seam(canvas: Canvas, waist: np.ndarray, outfit: Outfit) -> None:
    """Hide the outline between the two halves of the shirt."""
    center = waist.mean(0)
    canvas.plain(center + 0.9 * (waist - center), outfit.shirt)


def _draw_print(canvas: Canvas, figure: Figure, outfit: Outfit, outline: np.ndarray) -> None:
    """Draw the shirt's pattern on the pixels of the torso under an outline."""
    if outfit.pattern == 'plain':
        return
    image, mask, corner = canvas.window(outline, Part.TORSO)
    if not mask.any():
        return
    layer = Canvas(image.copy(), np.zeros(mask.shape, np.uint8), canvas.light)
    unit = figure.scale * 0.03
    down, across = (figure.torso[:2, column] * unit for column in (1, 0))
    grid = _Grid(figure.points['neck'][:2] - corner, down, across, unit)
    PATTERNS[outfit.pattern](layer, grid, outfit.print_color)
    image[mask] = layer.image[mask]


class _Grid(NamedTuple):
    """Where a print goes: the neck, a step down and a step across the torso, each (2,) px, and a step's length."""
    top: np.ndarray
    down: np.ndarray
    across: np.ndarray
    unit: float


def _draw_bands(layer: Canvas, grid: _Grid, color: Color) -> None:
    for row in range(-2, 12, 2):
        start = grid.top + row * grid.down
        layer.line(np.array([start - 6 * grid.across, start + 6 * grid.across]), color, grid.unit)


def _draw_pinstripes(layer: Canvas, grid: _Grid, color: Color) -> None:
    for column in range(-5, 6):
        start = grid.top + column * grid.across
        layer.line(np.array([start - 2 * grid.down, start + 12 * grid.down]), color, 0.3 * grid.unit)


def _draw_dots(layer: Canvas, grid: _Grid, color: Color) -> None:
    for row in range(0, 12, 2):
        for column in range(-5, 6, 2):
            # Every other row is shifted by half of the distance between two dots.
            center = grid.top + row * grid.down + (column + row // 2 % 2) * grid.across
            layer.plain(disc(center, 0.35 * grid.unit), color)


def _draw_block(layer: Canvas, grid: _Grid, color: Color) -> None:
    """The lower half in another color."""
    middle = grid.top + 8 * grid.down
    layer.line(np.array([middle - 6 * grid.across, middle + 6 * grid.across]), color, 6 * grid.unit)


PATTERNS = {'bands': _draw_bands, 'pinstripes': _draw_pinstripes, 'dots': _draw_dots, 'block': _draw_block}
"""How each print is drawn; a plain shirt has none."""


def _draw_front(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Neckline, and a logo, a row of buttons, a zip or a collar: details that a back does not have."""
    neck, build = figure.points['neck'], figure.build

    def at(x: float, y: float) -> np.ndarray:
        """A point of the chest's surface: x in half shoulder widths, y in torso lengths."""
        inset = np.sqrt(max(0., 1 - x * x)) * 0.056 * build.girth * min(1., 0.35 + 2 * y)
        offset = np.array([x * build.shoulder, y * build.torso, inset])
        return (neck + figure.scale * figure.torso @ offset)[:2]

    unit = 0.012 * figure.scale
    canvas.plain(np.array([at(-0.32, -0.02), at(0.32, -0.02), at(0, 0.24)]), outfit.skin)
    dark, bright = scaled(outfit.shirt, 0.5), scaled(outfit.print_color, 1.2)
    if outfit.front == 'logo':
        corners = np.array([at(-0.38, 0.32), at(0.38, 0.32), at(0.38, 0.52), at(-0.38, 0.52)])
        canvas.plain(hull(corners), bright)
    elif outfit.front == 'buttons':
        canvas.line(np.array([at(0, 0.24), at(0, 0.95)]), dark, 1)
        for y in (0.36, 0.52, 0.68, 0.84):
            canvas.plain(disc(at(0, y), 0.8 * unit), bright)
    elif outfit.front == 'zip':
        canvas.line(np.array([at(0, 0.24), at(0, 0.98)]), bright, 1.2 * unit)
    else:
        for sign in (1, -1):
            canvas.plain(np.array([at(sign * 0.30, -0.02), at(0, 0.24), at(sign * 0.38, 0.26)]), bright)


def _draw_back(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The yoke: a line across the shoulders."""
    neck, build = figure.points['neck'], figure.build
    places = ((-0.85, 0.30), (0, 0.24), (0.85, 0.30))
    yoke = [(neck + figure.scale * figure.torso @ np.array([x * build.shoulder, y * build.torso, -0.05]))[:2]
            for x, y in places]
    canvas.line(np.array(yoke), scaled(outfit.shirt, 0.7), 1)
