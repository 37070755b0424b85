"""Backgrounds, objects, and the imperfections of a camera."""
from typing import Tuple

import cv2
import numpy as np

from mmpose_mspn.synthetic_people.drawing import Color, fixed, scaled


def random_color(rng: np.random.Generator) -> Color:
    """A gray of 20 to 235 with a random tint, from none to strong."""
    tint = rng.uniform(-1, 1, 3) * rng.choice([12, 50, 110])
    return tuple(int(channel) for channel in np.clip(rng.integers(20, 236) + tint, 0, 255))


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """An image (height, width, 3) uint8: a gradient, often a floor and a texture, and clutter."""
    grid = random_color(rng) + rng.normal(0, 22, (3, 4, 3))
    grid = np.clip(grid, 0, 255).astype(np.uint8)
    image = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.6:
        _draw_floor(rng, image)
    if rng.random() < 0.6:
        _add_texture(rng, image)
    for _ in range(rng.integers(0, 9)):
        _draw_clutter(rng, image)
    return image


def _draw_floor(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    left, right = rng.uniform(0.5, 0.85) * height + rng.normal(0, 0.02 * height, 2)
    corners = np.array([(-1, left), (width, right), (width, height), (-1, height)])
    cv2.fillConvexPoly(image, fixed(corners), random_color(rng), cv2.LINE_AA, 4)


def _add_texture(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    cell = rng.integers(2, 12)
    coarse = rng.integers(0, rng.integers(8, 40), (height // cell + 1, width // cell + 1), dtype=np.uint8)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.subtract(image, cv2.merge([fine] * 3), dst=image)


def _draw_clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    """A box, a disc, a line or a triangle at a random place."""
    height, width = image.shape[:2]
    size = np.array([width, height])
    first, second = rng.uniform(-0.1, 1.1, (2, 2)) * size
    color, kind = random_color(rng), rng.integers(4)
    if kind == 0:
        reach = rng.uniform(0.05, 0.35, 2) * size
        draw_box(image, first, first + reach, color)
    elif kind == 1:
        cv2.circle(image, fixed(first), int(rng.uniform(0.02, 0.13) * height * 16), color, -1, cv2.LINE_AA, 4)
    elif kind == 2:
        cv2.line(image, fixed(first), fixed(second), color, int(rng.integers(1, 9)), cv2.LINE_AA, 4)
    else:
        corners = first + rng.uniform(-0.2, 0.2, (3, 2)) * size
        cv2.fillConvexPoly(image, fixed(corners), color, cv2.LINE_AA, 4)


def draw_box(image: np.ndarray, low: np.ndarray, high: np.ndarray, color: Color) -> None:
    """A piece of furniture from ``low`` to ``high`` (x, y): a filled box with edges and a shelf."""
    cv2.rectangle(image, fixed(low), fixed(high), color, -1, cv2.LINE_AA, 4)
    cv2.rectangle(image, fixed(low), fixed(high), scaled(color, 0.6), 2, cv2.LINE_AA, 4)
    middle = (low + high) / 2
    cv2.line(
        image, fixed((low[0], middle[1])), fixed((high[0], middle[1])), scaled(color, 0.75), 1, cv2.LINE_AA, 4)


def draw_occluder(rng: np.random.Generator, image: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Draw an object over a part of the box from ``low`` to ``high`` (x, y).

    Returns:
        (H, W) bool, the object's pixels.
    """
    color = random_color(rng)
    mask = np.zeros(image.shape[:2], np.uint8)
    draw = (_cover_with_furniture, _cover_with_disc, _cover_with_pole)[rng.integers(3)]
    draw(rng, image, mask, low, high - low, color)
    return mask > 0


def _cover_with_furniture(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, low: np.ndarray,
                          size: np.ndarray, color: Color) -> None:
    """A box in front of the legs or of one side."""
    start = low + rng.uniform([-0.3, 0.55], [0.6, 0.85]) * size
    stop = start + rng.uniform([0.4, 0.3], [0.9, 0.5]) * size
    draw_box(image, start, stop, color)
    cv2.rectangle(mask, fixed(start), fixed(stop), 1, 2, cv2.LINE_8, 4)
    cv2.rectangle(mask, fixed(start), fixed(stop), 1, -1, cv2.LINE_8, 4)


def _cover_with_disc(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, low: np.ndarray,
                     size: np.ndarray, color: Color) -> None:
    """A ball, a bag or a bush."""
    center = low + rng.uniform(0, 1, 2) * size
    radius = int(rng.uniform(0.06, 0.14) * size.max() * 16)
    for target, value, line in _targets(image, mask, color):
        cv2.circle(target, fixed(center), radius, value, -1, line, 4)


def _cover_with_pole(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, low: np.ndarray,
                     size: np.ndarray, color: Color) -> None:
    top = low + rng.uniform([0, -0.2], [1, 0.2]) * size
    foot = top + (rng.normal(0, 0.08) * size[0], 2. * size[1])
    thick = max(2, int(rng.uniform(0.03, 0.08) * size.max()))
    for target, value, line in _targets(image, mask, color):
        cv2.line(target, fixed(top), fixed(foot), value, thick, line, 4)


def _targets(image: np.ndarray, mask: np.ndarray, color: Color) -> Tuple[tuple, tuple]:
    """Array, value and kind of line for a shape that is drawn on the image and on the mask."""
    return (image, color, cv2.LINE_AA), (mask, 1, cv2.LINE_8)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A new (H, W, 3) uint8 image with the contrast, brightness, color cast, blur and noise of a camera."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.94, 1.06, 3)
    offset = rng.uniform(-20, 20)
    levels = np.arange(256)[:, None] * gain + offset
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[:, None])
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.))
    strength = int(rng.integers(0, 16))
    if strength:
        grain = rng.integers(0, 2 * strength + 1, image.shape, dtype=np.uint8)
        image = cv2.subtract(cv2.add(image, grain), (strength, ) * 3 + (0, ))
    return image
