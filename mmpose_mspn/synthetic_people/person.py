# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Draws one placed figure, far parts first."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .body import SIDES, Figure
from .drawing import Canvas, disc, hull, scaled
from .head import draw_head, draw_long_hair, hair_end
from .outfit import Outfit
from .parts import Part
from .torso import draw_pelvis, draw_skirt, draw_torso

# Added to a part's depth (in standing heights): which of two touching parts lies on top.
_OVER_THIGHS, _OVER_PELVIS, _OVER_SKIRT, _OVER_TORSO = .010, .015, .020, .035
_SITS = 45  # degrees of hip flexion from which a skirt is drawn as shorts


def draw_person(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Draw ``figure`` (in pixels) on ``canvas``; ``canvas.parts`` gets its :class:`Part` values."""
    for _, draw in sorted(_layers(canvas, figure, outfit), key=lambda layer: layer[0]):
        draw()


def _layers(canvas: Canvas, figure: Figure,
            outfit: Outfit) -> list[tuple[float, Callable[[], None]]]:
    """Depth and drawing call of every part."""
    depth = {name: point[2] / figure.scale for name, point in figure.points.items()}
    torso = (depth['neck'] + depth['pelvis']) / 2
    args = canvas, figure, outfit
    layers = [(depth['pelvis'] + _OVER_THIGHS, partial(draw_pelvis, *args)),
              (torso + _OVER_SKIRT, partial(draw_torso, *args)),
              (depth['neck'] + _OVER_TORSO / 2 * np.sign(figure.torso[2, 2]) + .02,
               partial(_draw_neck, *args)),
              (depth['head'] + _OVER_TORSO, partial(draw_head, *args))]
    if outfit.skirt and figure.pose.legs[:, 0].max() < _SITS:
        layers.append((depth['pelvis'] + _OVER_PELVIS, partial(draw_skirt, *args)))
    if outfit.long_hair:
        behind = (hair_end(figure)[2] - figure.points['neck'][2]) / figure.scale
        layers.append((depth['neck'] + behind * 1.2, partial(draw_long_hair, *args)))
    for side in SIDES:
        upper = (depth[f'{side}_shoulder'] + depth[f'{side}_elbow']) / 2
        fore = (depth[f'{side}_elbow'] + depth[f'{side}_wrist']) / 2
        thigh = (depth[f'{side}_hip'] + depth[f'{side}_knee']) / 2
        shin = (depth[f'{side}_knee'] + depth[f'{side}_ankle']) / 2
        layers += [(upper + _OVER_TORSO, partial(_draw_upper_arm, *args, side)),
                   (fore + _OVER_TORSO + .002, partial(_draw_forearm, *args, side)),
                   (thigh, partial(_draw_thigh, *args, side)),
                   (shin - .002, partial(_draw_shin, *args, side))]
    return layers


def _draw_neck(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    radius = .030 * figure.scale
    neck, head = figure.points['neck'], figure.points['head_base']
    canvas.capsule(neck, head, (radius, radius), scaled(outfit.skin, .92), Part.NECK)


def _draw_limb(canvas: Canvas, figure: Figure, outfit: Outfit, ends: tuple[str, str],
               radii: tuple[float, float], covered: float, cloth: tuple[int, int, int],
               part: Part) -> None:
    """A limb with its near ``covered`` share (0 to 1) in cloth."""
    start, end = (figure.points[name] for name in ends)
    thick = figure.build.girth * figure.scale
    near, far = (radius * thick for radius in radii)
    if covered < 1:
        canvas.capsule(start, end, (near, far), outfit.skin, part)
    if covered > 0:
        share = min(1., covered)
        edge = (near + share * (far - near)) * 1.1
        canvas.capsule(start, start + share * (end - start), (near * 1.1, edge), cloth, part)


def _draw_upper_arm(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_limb(canvas, figure, outfit, (f'{side}_shoulder', f'{side}_elbow'), (.031, .025),
               outfit.sleeve, outfit.shirt, Part.of(side, 'upper_arm'))


def _draw_forearm(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_hand(canvas, figure, outfit, side)
    _draw_limb(canvas, figure, outfit, (f'{side}_elbow', f'{side}_wrist'), (.025, .018),
               outfit.sleeve - 1, outfit.shirt, Part.of(side, 'forearm'))


def _draw_hand(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    wrist, hand, thumb = (figure.points[f'{side}_{name}'] for name in ('wrist', 'hand', 'thumb'))
    radius, part = .020 * figure.scale, Part.of(side, 'hand')
    canvas.convex(hull(disc(wrist, .6 * radius), disc(thumb, .45 * radius)), outfit.skin, part)
    canvas.capsule(wrist, hand, (.85 * radius, radius), scaled(outfit.skin, 1.05), part)


def _draw_thigh(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_limb(canvas, figure, outfit, (f'{side}_hip', f'{side}_knee'), (.050, .036),
               outfit.leg, outfit.bottom, Part.of(side, 'thigh'))


def _draw_shin(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_foot(canvas, figure, outfit, side)
    _draw_limb(canvas, figure, outfit, (f'{side}_knee', f'{side}_ankle'), (.035, .023),
               outfit.leg - 1, outfit.bottom, Part.of(side, 'shin'))


def _draw_foot(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    ankle, heel, toe = (figure.points[f'{side}_{name}'] for name in ('ankle', 'heel', 'toe'))
    size = figure.scale
    outline = hull(disc(ankle, .024 * size), disc(heel, .022 * size), disc(toe, .021 * size))
    canvas.convex(outline, outfit.shoes, Part.of(side, 'foot'))
    canvas.plain(disc(toe, .010 * size), scaled(outfit.shoes, 1.3))
