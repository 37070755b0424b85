"""Draws one placed figure, the farthest parts first."""
from functools import partial
from typing import Callable, List, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.body import SIDES, Figure
from mmpose_mspn.synthetic_people.drawing import Canvas, Color, disc, hull, scaled
from mmpose_mspn.synthetic_people.head import draw_head, draw_long_hair, hair_end
from mmpose_mspn.synthetic_people.outfit import Outfit
from mmpose_mspn.synthetic_people.parts import Part
from mmpose_mspn.synthetic_people.torso import draw_pelvis, draw_skirt, draw_torso

# Added to a part's depth (in standing heights): which of two touching parts lies on top.
OVER_THIGHS, OVER_PELVIS, OVER_SKIRT, OVER_TORSO = 0.010, 0.015, 0.020, 0.035
SITTING = 45
"""Degrees of hip flexion from which a skirt is drawn as shorts."""

Layer = Tuple[float, Callable[[], None]]
"""Depth in standing heights, and the call that draws the part."""


def draw_person(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    """Draw ``figure`` (in pixels) on ``canvas``; ``canvas.parts`` gets its :class:`Part` values."""
    layers = _trunk_layers(canvas, figure, outfit) + _limb_layers(canvas, figure, outfit)
    for _, draw in sorted(layers, key=lambda layer: layer[0]):
        draw()


def _trunk_layers(canvas: Canvas, figure: Figure, outfit: Outfit) -> List[Layer]:
    """Pelvis, torso, neck, head, and a skirt or long hair."""
    depth = _depths(figure)
    torso = (depth['neck'] + depth['pelvis']) / 2
    neck = depth['neck'] + OVER_TORSO / 2 * np.sign(figure.torso[2, 2]) + 0.02
    args = canvas, figure, outfit
    layers = [
        (depth['pelvis'] + OVER_THIGHS, partial(draw_pelvis, *args)),
        (torso + OVER_SKIRT, partial(draw_torso, *args)),
        (neck, partial(_draw_neck, *args)),
        (depth['head'] + OVER_TORSO, partial(draw_head, *args)),
    ]
    if outfit.skirt and figure.pose.legs[:, 0].max() < SITTING:
        layers.append((depth['pelvis'] + OVER_PELVIS, partial(draw_skirt, *args)))
    if outfit.long_hair:
        behind = (hair_end(figure)[2] - figure.points['neck'][2]) / figure.scale
        layers.append((depth['neck'] + behind * 1.2, partial(draw_long_hair, *args)))
    return layers


def _limb_layers(canvas: Canvas, figure: Figure, outfit: Outfit) -> List[Layer]:
    """Both halves of each arm and leg, at the mean depth of their ends."""
    depth = _depths(figure)
    layers = []
    for side in SIDES:
        args = canvas, figure, outfit, side
        upper = (depth[f'{side}_shoulder'] + depth[f'{side}_elbow']) / 2
        fore = (depth[f'{side}_elbow'] + depth[f'{side}_wrist']) / 2
        thigh = (depth[f'{side}_hip'] + depth[f'{side}_knee']) / 2
        shin = (depth[f'{side}_knee'] + depth[f'{side}_ankle']) / 2
        layers += [
            (upper + OVER_TORSO, partial(_draw_upper_arm, *args)),
            (fore + OVER_TORSO + 0.002, partial(_draw_forearm, *args)),
            (thigh, partial(_draw_thigh, *args)),
            (shin - 0.002, partial(_draw_shin, *args)),
        ]
    return layers


def _depths(figure: Figure) -> dict:
    """Depth of each point in standing heights."""
    return {name: point[2] / figure.scale for name, point in figure.points.items()}


def _draw_neck(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    radius = 0.030 * figure.scale
    neck, head = figure.points['neck'], figure.points['head_base']
    canvas.capsule(neck, head, (radius, radius), scaled(outfit.skin, 0.92), Part.NECK)


def _draw_limb(canvas: Canvas, figure: Figure, outfit: Outfit, ends: Tuple[str, str], radii: Tuple[float, float],
               covered: float, cloth: Color, part: Part) -> None:
    """A limb with its near ``covered`` share (0 to 1) in cloth.

    Args:
        canvas: Where to draw.
        figure: The person, in pixels.
        outfit: The person's clothes.
        ends: Names of the limb's points, the near one first.
        radii: Of the limb at its ends, in standing heights.
        covered: Share of the limb in cloth; below 0 is bare, above 1 is covered.
        cloth: The cloth's color.
        part: What the parts map gets.
    """
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
    _draw_limb(canvas, figure, outfit, (f'{side}_shoulder', f'{side}_elbow'), (0.031, 0.025), outfit.sleeve,
               outfit.shirt, Part.of(side, 'upper_arm'))


def _draw_forearm(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_hand(canvas, figure, outfit, side)
    _draw_limb(canvas, figure, outfit, (f'{side}_elbow', f'{side}_wrist'), (0.025, 0.018), outfit.sleeve - 1,
               outfit.shirt, Part.of(side, 'forearm'))


def _draw_hand(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    wrist, hand, thumb = (figure.points[f'{side}_{name}'] for name in ('wrist', 'hand', 'thumb'))
    radius, part = 0.020 * figure.scale, Part.of(side, 'hand')
    canvas.convex(hull(disc(wrist, 0.6 * radius), disc(thumb, 0.45 * radius)), outfit.skin, part)
    canvas.capsule(wrist, hand, (0.85 * radius, radius), scaled(outfit.skin, 1.05), part)


def _draw_thigh(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_limb(canvas, figure, outfit, (f'{side}_hip', f'{side}_knee'), (0.050, 0.036), outfit.leg, outfit.bottom,
               Part.of(side, 'thigh'))


def _draw_shin(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    _draw_foot(canvas, figure, outfit, side)
    _draw_limb(canvas, figure, outfit, (f'{side}_knee', f'{side}_ankle'), (0.035, 0.023), outfit.leg - 1,
               outfit.bottom, Part.of(side, 'shin'))


def _draw_foot(canvas: Canvas, figure: Figure, outfit: Outfit, side: str) -> None:
    ankle, heel, toe = (figure.points[f'{side}_{name}'] for name in ('ankle', 'heel', 'toe'))
    size = figure.scale
    outline = hull(disc(ankle, 0.024 * size), disc(heel, 0.022 * size), disc(toe, 0.021 * size))
    canvas.convex(outline, outfit.shoes, Part.of(side, 'foot'))
    canvas.plain(disc(toe, 0.010 * size), scaled(outfit.shoes, 1.3))
