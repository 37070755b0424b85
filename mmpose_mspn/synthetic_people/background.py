# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Backgrounds, objects and the camera's imperfections."""
from __future__ import annotations

import cv2
import numpy as np

from .drawing import Color, fixed, scaled


def random_color(rng: np.random.Generator) -> Color:
    """A gray of 20 to 235 with a random tint, from none to strong."""
    tint = rng.uniform(-1, 1, 3) * rng.choice([12, 50, 110])
    return tuple(int(channel) for channel in np.clip(rng.integers(20, 236) + tint, 0, 255))


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """An image (height, width, 3) uint8: gradient, texture, often a floor, clutter."""
    grid = random_color(rng) + rng.normal(0, 22, (3, 4, 3))
    grid = np.clip(grid, 0, 255).astype(np.uint8)
    image = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < .6:
        _draw_floor(rng, image)
    if rng.random() < .6:
        _add_texture(rng, image)
    for _ in range(rng.integers(0, 9)):
        _draw_clutter(rng, image)
    return image


def _draw_floor(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    left, right = rng.uniform(.5, .85) * height + rng.normal(0, .02 * height, 2)
    corners = np.array([(-1, left), (width, right), (width, height), (-1, height)])
    cv2.fillConvexPoly(image, fixed(corners), random_color(rng), cv2.LINE_AA, 4)


def _add_texture(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    cell = rng.integers(2, 12)
    coarse = rng.integers(0, rng.integers(8, 40), (height // cell + 1, width // cell + 1),
                          dtype=np.uint8)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.subtract(image, cv2.merge([fine] * 3), dst=image)


def _draw_clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    size = np.array([width, height])
    first, second = rng.uniform(-.1, 1.1, (2, 2)) * size
    color, kind = random_color(rng), rng.integers(4)
    if kind == 0:
        reach = rng.uniform(.05, .35, 2) * size
        draw_box(image, first, first + reach, color)
    elif kind == 1:
        cv2.circle(image, fixed(first), int(rng.uniform(.02, .13) * height * 16), color, -1,
                   cv2.LINE_AA, 4)
    elif kind == 2:
        cv2.line(image, fixed(first), fixed(second), color, int(rng.integers(1, 9)), cv2.LINE_AA, 4)
    else:
        corners = first + rng.uniform(-.2, .2, (3, 2)) * size
        cv2.fillConvexPoly(image, fixed(corners), color, cv2.LINE_AA, 4)


def draw_box(image: np.ndarray, low: np.ndarray, high: np.ndarray, color: Color) -> None:
    """A piece of furniture from ``low`` to ``high`` (x, y): a filled box with edges and a shelf."""
    cv2.rectangle(image, fixed(low), fixed(high), color, -1, cv2.LINE_AA, 4)
    cv2.rectangle(image, fixed(low), fixed(high), scaled(color, .6), 2, cv2.LINE_AA, 4)
    middle = (low + high) / 2
    cv2.line(image, fixed((low[0], middle[1])), fixed((high[0], middle[1])), scaled(color, .75), 1,
             cv2.LINE_AA, 4)


def draw_occluder(rng: np.random.Generator, image: np.ndarray, low: np.ndarray, high: np.ndarray,
                  ) -> np.ndarray:
    """Draw an object over a part of the box from ``low`` to ``high`` (x, y).

    Returns the (H, W) mask of the object's pixels.
    """
    size, color = high - low, random_color(rng)
    mask = np.zeros(image.shape[:2], np.uint8)
    kind = rng.integers(3)
    if kind == 0:  # a piece of furniture in front of the legs or one side
        start = low + rng.uniform([-.3, .55], [.6, .85]) * size
        stop = start + rng.uniform([.4, .3], [.9, .5]) * size
        draw_box(image, start, stop, color)
        cv2.rectangle(mask, fixed(start), fixed(stop), 1, 2, cv2.LINE_8, 4)
        cv2.rectangle(mask, fixed(start), fixed(stop), 1, -1, cv2.LINE_8, 4)
    elif kind == 1:  # a ball, a bag, a bush
        center = low + rng.uniform(0, 1, 2) * size
        radius = int(rng.uniform(.06, .14) * size.max() * 16)
        for target, value, line in ((image, color, cv2.LINE_AA), (mask, 1, cv2.LINE_8)):
            cv2.circle(target, fixed(center), radius, value, -1, line, 4)
    else:  # a pole
        top = low + rng.uniform([0, -.2], [1, .2]) * size
        foot = top + (rng.normal(0, .08) * size[0], 2. * size[1])
        thick = max(2, int(rng.uniform(.03, .08) * size.max()))
        for target, value, line in ((image, color, cv2.LINE_AA), (mask, 1, cv2.LINE_8)):
            cv2.line(target, fixed(top), fixed(foot), value, thick, line, 4)
    return mask > 0


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Contrast, brightness, color cast, blur and noise of a camera; a new (H, W, 3) uint8."""
    gain = rng.uniform(.75, 1.2) * rng.uniform(.94, 1.06, 3)
    offset = rng.uniform(-20, 20)
    levels = np.arange(256)[:, None] * gain + offset
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[:, None])
    if rng.random() < .4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(.4, 1.))
    strength = int(rng.integers(0, 16))
    if strength:
        grain = rng.integers(0, 2 * strength + 1, image.shape, dtype=np.uint8)
        image = cv2.subtract(cv2.add(image, grain), (strength,) * 3 + (0,))
    return image
