"""Draws one placed figure, the farthest parts first; trunk and limbs here, the head in ``head.py``."""
from functools import partial
from typing import Callable, List, NamedTuple, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.body import SIDES, Figure
from mmpose_mspn.synthetic_people.drawing import Canvas, Color, disc, ellipsoid, hull, scaled
from mmpose_mspn.synthetic_people.head import draw_head, draw_long_hair, hair_end
from mmpose_mspn.synthetic_people.outfit import Outfit, Part

# ---------------------------------------------------------------- layers and limbs

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
        figure: The person, in pixels.
        ends: Names of the limb's points, the near one first.
        radii: Of the limb at its ends, in standing heights.
        covered: Share of the limb in cloth; below 0 is bare, above 1 is covered.
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


# ---------------------------------------------------------------- trunk, with the shirt's print and front, and skirts


def _block(figure: Figure, name: str, axes: Tuple[float, float, float], rotation: np.ndarray) -> np.ndarray:
    """Outline (16, 2) of an ellipsoid around a point, with semi-axes in standing heights."""
    girth = np.array([1, 1, figure.build.girth])
    return ellipsoid(figure.points[name], np.array(axes) * girth * figure.scale, rotation)


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
    chest = _block(figure, 'chest', (figure.build.shoulder * 0.98, 0.058, 0.056), figure.torso)
    waist, hips = _waist(figure), _hips(figure)
    radius = 0.030 * figure.scale
    shoulders = [disc(figure.points[f'{side}_shoulder'], radius) for side in SIDES]
    pelvis, middle = figure.points['pelvis'], figure.points['waist']
    hem = (hips - pelvis[:2]) * (1, 0.75) + (0.72 * pelvis + 0.28 * middle)[:2]
    lower, upper = hull(waist, hem), hull(chest, waist, *shoulders)
    canvas.convex(lower, outfit.shirt, Part.TORSO)
    canvas.convex(upper, outfit.shirt, Part.TORSO)
    center = waist.mean(0)
    canvas.plain(center + 0.9 * (waist - center), outfit.shirt)  # hides the outline between the halves
    _draw_print(canvas, figure, outfit, np.concatenate([lower, upper]))
    if figure.torso[2, 2] > 0.2:
        _draw_front(canvas, figure, outfit)
    elif figure.torso[2, 2] < -0.2:
        _draw_back(canvas, figure, outfit)


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
