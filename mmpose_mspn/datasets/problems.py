"""The problems that annotation files may have, by kind, each with its remedy."""
from typing import Callable

Add = Callable[[str, str], None]
"""Takes a problem: its kind, a key of :data:`REMEDIES`, and a sentence that says where it is and what is wrong."""

LARGEST_SIDE = 2**20
"""px; OpenCV reads no larger image."""
FAR = 10
"""Coordinates may lie this many times the image's longer side outside of it; beyond that they are mistakes."""
SHOWN_CHARACTERS = 80
"""Length at which a value of a file is cut in a message."""

REMEDIES = {
    'unreadable file': 'fetch or write the file again, in the format named',
    'incomplete entry': 'write all of the fields that the datasets read',
    'id that is not an integer': 'write ids as integers from 0, without quotes',
    'duplicate image id': 'give every image an id of its own: the later entry hides the earlier one',
    'duplicate annotation id': 'give every annotation an id of its own: the later entry hides the earlier one',
    'category that is not listed': 'add the category to "categories", or correct category_id: the evaluation leaves '
                                   'other categories out',
    'image without a name': 'write the name of the image file, below the folder of data_prefix',
    'image without a positive size': f'write width and height in px, 1 to {LARGEST_SIDE}',
    'wrong number of keypoints': 'write x, y and visibility of every keypoint of the dataset, in its order',
    'keypoint that is not finite': 'write finite numbers; 0, 0, 0 stands for a keypoint that is not labeled',
    'visibility out of range': 'write 0 (not labeled), 1 (occluded) or 2 (visible); MPII: joints_vis 0 or 1; '
                               "COCO-WholeBody's feet, faces and hands: a number >= 0; AI Challenger's own files use "
                               "other codes: use mmpose's conversion",
    'coordinate far outside the image': f'correct it: it lies more than {FAR} times the image\'s longer side outside',
    'box without a positive size': 'write x, y, width and height in px, the last two > 0 (MPII: a finite scale > 0)',
    'boxes of two corners': 'write x, y, width and height in px, not x1, y1, x2, y2',
    'coordinates as shares of the image': 'write px: multiply x by the width of the image, and y by its height',
    'area out of range': 'write the area of the person in px², > 0 and not larger than its box or the image',
    'iscrowd out of range': 'write 1 for a crowd and 0 for a person',
    'num_keypoints out of range': 'write the number of labeled keypoints, an integer >= 0',
    'detection without a finite score': 'write a number as score',
}
"""What to do about each kind of problem."""


def refuse(kind: str, example: str) -> None:
    """Raise a ValueError about a problem of a file: an ``add`` for whoever cannot use the file."""
    raise ValueError(f'{example} ({kind}): {REMEDIES[kind]}; tools/check_data.py lists all such problems')


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}…'
