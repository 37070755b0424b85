"""What determines a dataset's content: arguments that are checked, stored in its annotation files and compared."""
import json
from pathlib import Path
from typing import Optional, Tuple

import numpy as np

from mmpose_mspn.synthetic_people.annotations import Record

DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
DRAWING_VERSION = 1
"""Version of the drawing code: increase it when the same seed gives other images."""
SPLITS = {'train2017': (0, 1), 'val2017': (1, 1_000_001)}
"""Number in the seeds and first image id of each split."""
LARGEST_SPLIT = 999_999
"""Images that a split can have without reaching the image ids of the next one."""
SIDES = (64, 4096)
"""Smallest and largest width or height of an image in px."""


def checked_arguments(train: int, val: int, seed: int, image_size: Tuple[int, int]) -> Record:
    """The arguments of :func:`~mmpose_mspn.synthetic_people.generate` as they are stored in the annotation files.

    Raises:
        TypeError: A number is not an integer.
        ValueError: An argument is out of its range.
    """
    check_integer('train', train, 0, LARGEST_SPLIT)
    check_integer('val', val, 0, LARGEST_SPLIT)
    check_integer('seed', seed, 0, 2**32 - 1)
    if len(image_size) != 2:
        raise ValueError(f'image_size must be (width, height), got {image_size}')
    for name, side in zip(('image_size[0] (width)', 'image_size[1] (height)'), image_size):
        check_integer(name, side, *SIDES)
    return {'train': int(train), 'val': int(val), 'seed': int(seed), 'image_size': [int(side) for side in image_size],
            'drawing': DRAWING_VERSION}


def check_integer(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not an integer (TypeError), and integers outside ``low`` ... ``high`` (ValueError), by name."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'{name} must be an integer from {low} to {high}, got {value!r}')
    if not low <= value <= high:
        raise ValueError(f'{name} must be from {low} to {high}, got {value}')


def annotation_file(out: Path, split: str) -> Path:
    """The annotation file of a split in the dataset's folder ``out``."""
    return out / 'annotations' / f'person_keypoints_{split}.json'


def is_complete(out: Path, arguments: Record) -> bool:
    """Whether all files of the dataset are there.

    Raises:
        ValueError: The folder holds annotations of another origin, or a complete dataset of other arguments.
    """
    paths = [path for path in (annotation_file(out, split) for split in SPLITS) if path.exists()]
    complete = len(paths) == len(SPLITS) and (out / DETECTIONS).exists()
    for path in paths:
        found = _arguments_of(path)
        if found is None:
            raise ValueError(f'out_dir: {path} was not made by this generator and is not overwritten; please choose '
                             'another out_dir')
        # An unfinished dataset of ours may be replaced, a finished one may not.
        if complete and found != arguments:
            raise ValueError(f'out_dir: {out} holds a dataset made with {found}, but {arguments} was asked for; please '
                             'delete it, choose another out_dir or ask for the same arguments')
    return complete


def _arguments_of(path: Path) -> Optional[Record]:
    """The arguments in an annotation file's info, read without the rest of the file; ``None`` if it has none."""
    with path.open(encoding='utf-8') as file:
        start = file.read(8192)
    prefix = '{"info": '
    if not start.startswith(prefix):
        return None
    try:
        info, _ = json.JSONDecoder().raw_decode(start, len(prefix))
    except json.JSONDecodeError:
        return None
    return info.get('synthetic') if isinstance(info, dict) else None
