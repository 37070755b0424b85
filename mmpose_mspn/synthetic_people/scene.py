# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Puts several people and objects into one image and keeps account of who owns which pixel."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .background import draw_background, draw_occluder, photograph
from .body import Build, Figure, pose_figure
from .drawing import Canvas
from .outfit import Outfit
from .parts import joints_in_image, visible_joints
from .person import draw_person
from .poses import Pose

MAX_PEOPLE = 5
_COUNTS = (.36, .30, .20, .09, .05)  # share of images with 1 to 5 people
# lowest and highest standing height in image heights, by the number of people
_HEIGHTS = ((.50, 1.02), (.45, .95), (.42, .85), (.36, .65), (.35, .60))
_CLOSE_UP = .06  # share of people up to 110 % of the image's height
_CROWDED = .15  # share of images in which people may overlap a lot
_CUT_OFF = .22  # share of people who may leave the image
_OCCLUDED = .14  # share of people with an object in front
_UNLABELED = .15  # share of hidden joints without a label
_TRIES = 8
OBJECT = 255  # the owner value of an object


@dataclass(frozen=True)
class Person:
    """One annotated person.

    ``keypoints`` is (17, 3): x, y in px and visibility 0, 1 or 2 as COCO has it. ``box`` is x, y,
    width, height of the drawn person within the image, hidden pixels included; ``area`` counts
    the pixels that show the person. ``owner`` is the person's value in the scene's owner map.
    """
    figure: Figure
    outfit: Outfit
    owner: int
    keypoints: np.ndarray
    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Scene:
    """A finished image (H, W, 3) BGR uint8 with its people, far to near.

    ``owner`` (H, W) uint8 is 0 for background, a person's number or :data:`OBJECT`; ``parts``
    (H, W) uint8 holds the :class:`Part` that a pixel shows, 0 where no person does.
    """
    image: np.ndarray
    owner: np.ndarray
    parts: np.ndarray
    people: list[Person]


def render_scene(rng: np.random.Generator, image_size: tuple[int, int] = (320, 256)) -> Scene:
    """A random scene of ``image_size`` (width, height)."""
    width, height = image_size
    image = draw_background(rng, width, height)
    figures = place_people(rng, width, height)
    outfits = [Outfit.sample(rng) for _ in figures]
    return compose(rng, image, figures, outfits)


def compose(rng: np.random.Generator, image: np.ndarray, figures: list[Figure],
            outfits: list[Outfit], occluded: float = _OCCLUDED) -> Scene:
    """Draw placed figures over ``image``, first one farthest away, and annotate them.

    ``occluded`` (0 to 1) is each person's chance of an object in front.
    """
    shape = image.shape[:2]
    owner, parts = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(angle), np.sin(angle)])
    boxes = []
    for number, (figure, outfit) in enumerate(zip(figures, outfits), 1):
        canvas = Canvas(image, np.zeros(shape, np.uint8), light, rng.uniform(.5, .8))
        draw_person(canvas, figure, outfit)
        drawn = canvas.parts > 0
        owner[drawn], parts[drawn] = number, canvas.parts[drawn]
        boxes.append(_box(drawn))
        if rng.random() < occluded:
            covered = draw_occluder(rng, image, *figure.extent())
            owner[covered], parts[covered] = OBJECT, 0
    people = []
    for number, (figure, outfit, box) in enumerate(zip(figures, outfits, boxes), 1):
        shown = np.where(owner == number, parts, 0)
        keypoints = _label(rng, figure, shown)
        area = int(np.count_nonzero(shown))
        if area and keypoints[:, 2].any():
            people.append(Person(figure, outfit, number, keypoints, box, area))
    return Scene(photograph(rng, image), owner, parts, people)


def _label(rng: np.random.Generator, figure: Figure, shown: np.ndarray) -> np.ndarray:
    inside, visible = joints_in_image(figure, shown.shape), visible_joints(figure, shown)
    labeled = inside & (visible | (rng.random(len(inside)) >= _UNLABELED))
    highest = np.array(shown.shape)[::-1] - 1
    keypoints = np.zeros((len(inside), 3))
    keypoints[:, :2] = np.clip(figure.joints()[:, :2].round(2), 0, highest)
    keypoints[:, 2] = 1. + visible
    return keypoints * labeled[:, None]


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return (int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1),
            int(rows[-1] - rows[0] + 1))


def place_people(rng: np.random.Generator, width: int, height: int) -> list[Figure]:
    """1 to 5 random figures in pixels of a width x height image, the farthest (smallest) first."""
    count = 1 + rng.choice(MAX_PEOPLE, p=_COUNTS)
    limit = .6 if rng.random() < _CROWDED else .12
    heights = rng.uniform(*_HEIGHTS[count - 1], count)
    close = rng.random(count) < _CLOSE_UP
    heights[close] = rng.uniform(.9, 1.1, close.sum())
    placed: list[Figure] = []
    for tall in np.sort(heights):
        figure = pose_figure(Build.sample(rng), Pose.sample(rng))
        placed.append(_settle(rng, figure, tall * height, np.array([width, height]), placed, limit))
    return placed


def _settle(rng: np.random.Generator, figure: Figure, scale: float, size: np.ndarray,
            others: list[Figure], limit: float) -> Figure:
    """The first place with an overlap up to ``limit``, or the best of a few."""
    best, least = None, np.inf
    for _ in range(_TRIES):
        candidate = _drop(rng, figure, scale, size)
        overlap = max((_overlap(candidate, other) for other in others), default=0.)
        if overlap < least:
            best, least = candidate, overlap
        if least <= limit:
            break
    return best


def _drop(rng: np.random.Generator, figure: Figure, scale: float, size: np.ndarray) -> Figure:
    """The figure at a random place, mostly inside the image of ``size`` (width, height)."""
    low, high = (corner * scale for corner in figure.extent())
    extent = high - low
    slack = np.abs(size - extent)
    start = np.minimum(0, size - extent) + rng.uniform(0, 1, 2) * slack
    if rng.random() < _CUT_OFF:
        start += rng.choice([-1, 1], 2) * rng.uniform(0, [.5, .35]) * extent
    return figure.place(scale, start - low)


def _overlap(figure: Figure, other: Figure) -> float:
    """Intersection over union of two figures' extents."""
    (low, high), (other_low, other_high) = figure.extent(), other.extent()
    shared = np.prod(np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0))
    return float(shared / (np.prod(high - low) + np.prod(other_high - other_low) - shared))
