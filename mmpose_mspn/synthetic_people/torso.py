# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Chest, waist and hips with the shirt's print, its front, and skirts."""
from __future__ import annotations

import numpy as np

from .body import SIDES, Figure
from .drawing import Canvas, disc, ellipsoid, hull, scaled
from .outfit import Outfit
from .parts import Part


def _block(figure: Figure, name: str, axes: tuple[float, float, float], rotation: np.ndarray,
           ) -> np.ndarray:
    girth = np.array([1, 1, figure.build.girth])
    return ellipsoid(figure.points[name], np.array(axes) * girth * figure.scale, rotation)


def _chest(figure: Figure) -> np.ndarray:
    return _block(figure, 'chest', (figure.build.shoulder * .98, .058, .056), figure.torso)


def _waist(figure: Figure) -> np.ndarray:
    width = .070 * figure.build.girth + .012
    return _block(figure, 'waist', (width, .045, .054), figure.torso)


def _hips(figure: Figure) -> np.ndarray:
    width = figure.build.hip + .034 * figure.build.girth
    return _block(figure, 'pelvis', (width, .045, .058), figure.pelvis)


def draw_pelvis(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The upper end of trousers or skirt."""
    canvas.convex(hull(_hips(figure), _waist(figure)), outfit.bottom, Part.PELVIS)


def draw_skirt(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """A skirt from the hips to three quarters of the thighs."""
    hem = []
    for side in SIDES:
        hip, knee = figure.points[f'{side}_hip'], figure.points[f'{side}_knee']
        hem.append(disc(hip + .72 * (knee - hip), .066 * figure.scale))
    canvas.convex(hull(_hips(figure), *hem), outfit.bottom, Part.SKIRT)


def draw_torso(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """The shirt: chest to waist to just below, then its print and, from the front, its details."""
    chest, waist, hips = _chest(figure), _waist(figure), _hips(figure)
    radius = .030 * figure.scale
    shoulders = [disc(figure.points[f'{side}_shoulder'], radius) for side in SIDES]
    middle = figure.points['waist']
    hem = (hips - figure.points['pelvis'][:2]) * (1, .75) + (
        .72 * figure.points['pelvis'] + .28 * middle)[:2]
    lower, upper = hull(waist, hem), hull(chest, waist, *shoulders)
    canvas.convex(lower, outfit.shirt, Part.TORSO)
    canvas.convex(upper, outfit.shirt, Part.TORSO)
    _draw_seam(canvas, waist, outfit)
    _draw_print(canvas, figure, outfit, np.concatenate([lower, upper]))
    if figure.torso[2, 2] > .2:
        _draw_front(canvas, figure, outfit)
    elif figure.torso[2, 2] < -.2:
        _draw_back(canvas, figure, outfit)


def _draw_seam(canvas: Canvas, waist: np.ndarray, outfit: Outfit) -> None:
    # hides the outline between the two halves of the shirt
    center = waist.mean(0)
    canvas.plain(center + .9 * (waist - center), outfit.shirt)


def _draw_print(canvas: Canvas, figure: Figure, outfit: Outfit, outline: np.ndarray) -> None:
    if outfit.pattern == 'plain':
        return
    image, mask, corner = canvas.window(outline, Part.TORSO)
    if not mask.any():
        return
    layer = Canvas(image.copy(), np.zeros(mask.shape, np.uint8), canvas.light)
    unit = figure.scale * .03
    down, across = (figure.torso[:2, column] * unit for column in (1, 0))
    top = figure.points['neck'][:2] - corner
    reach = np.arange(-5, 6)
    if outfit.pattern == 'bands':
        for step in range(-2, 12, 2):
            ends = [top + step * down - 6 * across, top + step * down + 6 * across]
            layer.line(np.array(ends), outfit.print_color, unit)
    elif outfit.pattern == 'pinstripes':
        for step in reach:
            ends = [top + step * across - 2 * down, top + step * across + 12 * down]
            layer.line(np.array(ends), outfit.print_color, .3 * unit)
    elif outfit.pattern == 'dots':
        for row in range(0, 12, 2):
            for step in reach[::2] + row // 2 % 2:
                layer.plain(disc(top + row * down + step * across, .35 * unit), outfit.print_color)
    else:  # block: the lower half in another color
        ends = [top + 8 * down - 6 * across, top + 8 * down + 6 * across]
        layer.line(np.array(ends), outfit.print_color, 6 * unit)
    image[mask] = layer.image[mask]


def _draw_front(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Neckline, and a logo, a row of buttons, a zip or a collar: what a back does not have."""
    neck, build = figure.points['neck'], figure.build

    def at(x: float, y: float) -> np.ndarray:
        """A point of the chest's surface: x of the half shoulder width, y of the torso."""
        inset = np.sqrt(max(0., 1 - x * x)) * .056 * build.girth * min(1., .35 + 2 * y)
        offset = np.array([x * build.shoulder, y * build.torso, inset])
        return (neck + figure.scale * figure.torso @ offset)[:2]

    unit = .012 * figure.scale
    canvas.plain(np.array([at(-.32, -.02), at(.32, -.02), at(0, .24)]), outfit.skin)
    dark, bright = scaled(outfit.shirt, .5), scaled(outfit.print_color, 1.2)
    if outfit.front == 'logo':
        canvas.plain(hull(np.array([at(-.38, .32), at(.38, .32), at(.38, .52), at(-.38, .52)])),
                     bright)
    elif outfit.front == 'buttons':
        canvas.line(np.array([at(0, .24), at(0, .95)]), dark, 1)
        for y in (.36, .52, .68, .84):
            canvas.plain(disc(at(0, y), .8 * unit), bright)
    elif outfit.front == 'zip':
        canvas.line(np.array([at(0, .24), at(0, .98)]), bright, 1.2 * unit)
    else:
        for sign in (1, -1):
            canvas.plain(np.array([at(sign * .30, -.02), at(0, .24), at(sign * .38, .26)]), bright)


def _draw_back(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    neck, build = figure.points['neck'], figure.build
    yoke = [(neck + figure.scale * figure.torso @ np.array(
        [x * build.shoulder, y * build.torso, -.05]))[:2] for x, y in
        ((-.85, .30), (0, .24), (.85, .30))]
    canvas.line(np.array(yoke), scaled(outfit.shirt, .7), 1)
