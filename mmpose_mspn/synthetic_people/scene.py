"""Puts several people and objects before a background, and records which person each pixel shows."""
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import cv2
import numpy as np

from mmpose_mspn.synthetic_people.body import Build, Figure, Pose, pose_figure
from mmpose_mspn.synthetic_people.drawing import Canvas, Color, fixed, scaled
from mmpose_mspn.synthetic_people.outfit import Outfit, joints_in_image, visible_joints
from mmpose_mspn.synthetic_people.person import draw_person

# ---------------------------------------------------------------- people

Box = Tuple[int, int, int, int]
"""x, y, width, height in px."""

MAX_PEOPLE = 5
COUNTS = (0.36, 0.30, 0.20, 0.09, 0.05)
"""Share of images with 1 to 5 people."""
HEIGHTS = ((0.50, 1.02), (0.45, 0.95), (0.42, 0.85), (0.36, 0.65), (0.35, 0.60))
"""Lowest and highest standing height in image heights, by the number of people."""
CLOSE_UP = 0.06
"""Share of people whose height is 90 to 110 % of the image's."""
CROWDED = 0.15
"""Share of images in which people may overlap a lot."""
CUT_OFF = 0.22
"""Share of people who may be partly outside the image."""
OCCLUDED = 0.14
"""Share of people with an object in front."""
UNLABELED = 0.15
"""Share of hidden joints without a label."""
PLACING_TRIES = 8
OBJECT = 255
"""The value of an object in a scene's owner map."""


@dataclass(frozen=True)
class Person:
    """One annotated person.

    ``keypoints`` is (17, 3): x, y in px and visibility 0, 1 or 2 as in COCO. ``box`` is the box of the drawn person
    within the image, hidden pixels included; ``area`` counts the pixels that show the person. ``owner`` is the person's
    value in the scene's owner map.
    """
    figure: Figure
    outfit: Outfit
    owner: int
    keypoints: np.ndarray
    box: Box
    area: int


@dataclass(frozen=True)
class Scene:
    """A finished image (H, W, 3) BGR uint8 with its people, far to near.

    ``owner`` (H, W) uint8 is 0 for background, a person's number or :data:`OBJECT`; ``parts`` (H, W) uint8 holds the
    :class:`Part` that a pixel shows, 0 where it shows no person.
    """
    image: np.ndarray
    owner: np.ndarray
    parts: np.ndarray
    people: List[Person]


def render_scene(rng: np.random.Generator, image_size: Tuple[int, int] = (320, 256)) -> Scene:
    """A random scene of ``image_size`` (w, h) px."""
    width, height = image_size
    image = draw_background(rng, width, height)
    figures = place_people(rng, width, height)
    outfits = [Outfit.sample(rng) for _ in figures]
    return compose(rng, image, figures, outfits)


def compose(rng: np.random.Generator,
            image: np.ndarray,
            figures: Sequence[Figure],
            outfits: Sequence[Outfit],
            occluded: float = OCCLUDED) -> Scene:
    """Draw placed figures over an image and annotate them.

    Args:
        image: (H, W, 3) uint8, the background; it is drawn on.
        figures: The people in pixels, the farthest first.
        occluded: Each person's chance of an object in front, 0 to 1.
    """
    shape = image.shape[:2]
    owner, parts = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(angle), np.sin(angle)])
    boxes = []
    for number, (figure, outfit) in enumerate(zip(figures, outfits), 1):
        canvas = Canvas(image, np.zeros(shape, np.uint8), light, rng.uniform(0.5, 0.8))
        draw_person(canvas, figure, outfit)
        drawn = canvas.parts > 0
        owner[drawn], parts[drawn] = number, canvas.parts[drawn]
        boxes.append(_box(drawn))
        if rng.random() < occluded:
            covered = draw_occluder(rng, image, *figure.extent())
            owner[covered], parts[covered] = OBJECT, 0
    people = _annotate(rng, figures, outfits, boxes, owner, parts)
    return Scene(photograph(rng, image), owner, parts, people)


def _annotate(rng: np.random.Generator, figures: Sequence[Figure], outfits: Sequence[Outfit], boxes: Sequence[Box],
              owner: np.ndarray, parts: np.ndarray) -> List[Person]:
    """The people of whom at least one pixel and one labeled keypoint is left."""
    people = []
    for number, (figure, outfit, box) in enumerate(zip(figures, outfits, boxes), 1):
        shown = np.where(owner == number, parts, 0)
        keypoints = _label(rng, figure, shown)
        area = int(np.count_nonzero(shown))
        if area and keypoints[:, 2].any():
            people.append(Person(figure, outfit, number, keypoints, box, area))
    return people


def _label(rng: np.random.Generator, figure: Figure, shown: np.ndarray) -> np.ndarray:
    """Keypoints (17, 3) of a person whose visible parts are ``shown`` (H, W)."""
    inside, visible = joints_in_image(figure, shown.shape), visible_joints(figure, shown)
    labeled = inside & (visible | (rng.random(len(inside)) >= UNLABELED))
    highest = np.array(shown.shape)[::-1] - 1
    keypoints = np.zeros((len(inside), 3))
    keypoints[:, :2] = np.clip(figure.joints()[:, :2].round(2), 0, highest)
    keypoints[:, 2] = 1. + visible
    return keypoints * labeled[:, None]


def _box(mask: np.ndarray) -> Box:
    """The smallest box around the pixels of a mask; all zero if there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def place_people(rng: np.random.Generator, width: int, height: int) -> List[Figure]:
    """1 to 5 random figures in pixels of an image of width × height px, the farthest (smallest) first."""
    count = 1 + rng.choice(MAX_PEOPLE, p=COUNTS)
    limit = 0.6 if rng.random() < CROWDED else 0.12
    heights = rng.uniform(*HEIGHTS[count - 1], count)
    close = rng.random(count) < CLOSE_UP
    heights[close] = rng.uniform(0.9, 1.1, close.sum())
    placed: List[Figure] = []
    for tall in np.sort(heights):
        figure = pose_figure(Build.sample(rng), Pose.sample(rng))
        placed.append(_settle(rng, figure, tall * height, np.array([width, height]), placed, limit))
    return placed


def _settle(rng: np.random.Generator, figure: Figure, scale: float, size: np.ndarray, others: Sequence[Figure],
            limit: float) -> Figure:
    """The first place with an overlap up to ``limit``, or the best of :data:`PLACING_TRIES`."""
    best, least = None, np.inf
    for _ in range(PLACING_TRIES):
        candidate = _drop(rng, figure, scale, size)
        overlap = max((_overlap(candidate, other) for other in others), default=0.)
        if overlap < least:
            best, least = candidate, overlap
        if least <= limit:
            break
    return best


def _drop(rng: np.random.Generator, figure: Figure, scale: float, size: np.ndarray) -> Figure:
    """The figure at a random place, mostly inside the image of ``size`` (w, h)."""
    low, high = (corner * scale for corner in figure.extent())
    extent = high - low
    slack = np.abs(size - extent)
    start = np.minimum(0, size - extent) + rng.uniform(0, 1, 2) * slack
    if rng.random() < CUT_OFF:
        start += rng.choice([-1, 1], 2) * rng.uniform(0, [0.5, 0.35]) * extent
    return figure.place(scale, start - low)


def _overlap(figure: Figure, other: Figure) -> float:
    """Intersection over union of two figures' extents."""
    (low, high), (other_low, other_high) = figure.extent(), other.extent()
    shared = np.prod(np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0))
    return float(shared / (np.prod(high - low) + np.prod(other_high - other_low) - shared))


# ---------------------------------------------------------------- background, objects and camera


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
