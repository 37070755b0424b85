# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""Writes synthetic people as a dataset with COCO 2017's folders and files."""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mmpose_mspn.utils.files import write_atomically, write_json

from .annotations import Record, annotation_records, detection_records, header, image_record
from .scene import render_scene

DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
# Enough people for the demo's few minutes of training.
TRAIN_IMAGES, VAL_IMAGES = 3000, 300
_VERSION = 1  # of the drawing: raise it when the same seed gives other images
# split: (its number in the seeds, its first image id)
_SPLITS = {'train2017': (0, 1), 'val2017': (1, 1_000_001)}
_LARGEST = 1_000_000 - 1  # images a split, so that image ids stay apart
_SIDES = (64, 4096)
_JPEG_QUALITY = 90
_CHUNK = 16  # images a worker takes at a time


@dataclass(frozen=True)
class _Job:
    """What a worker needs to make any image of a split."""
    folder: Path
    split: str
    seed: int
    image_size: tuple[int, int]


def generate(out_dir: str | os.PathLike[str], train: int = TRAIN_IMAGES, val: int = VAL_IMAGES, seed: int = 0,
             workers: int | None = None, image_size: tuple[int, int] = (320, 256),
             progress: bool = True) -> None:
    """Write a COCO-2017-style person keypoint dataset of drawn people.

    The files are ``train2017/``, ``val2017/`` (JPEG images),
    ``annotations/person_keypoints_{train,val}2017.json`` and :data:`DETECTIONS`. The same
    arguments give the same bytes, whatever ``workers`` is; image ``i`` of a split does not depend
    on ``train`` and ``val``. The annotation files come last: without them a folder counts as
    unfinished, and the call starts over. On a finished folder with the same arguments the call
    returns at once.

    Args:
        out_dir: Folder of the dataset, made if missing.
        train: Training images, 0 to 999999.
        val: Validation images, 0 to 999999.
        seed: Seed of all randomness, 0 to 2**32 - 1.
        workers: Processes, at least 1; None takes one for each CPU.
        image_size: Width and height in px, 64 to 4096 each.
        progress: Show a progress bar with the remaining time.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If an argument is out of its range, or if ``out_dir`` holds annotations that
            were made with other arguments or not by this function.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    _check('workers', workers, 1, 1024)
    arguments = _arguments(train, val, seed, image_size)
    out = Path(out_dir)
    if _is_complete(out, arguments):
        return
    for split in _SPLITS:  # of an unfinished set: the images are about to change under it
        _annotation_file(out, split).unlink(missing_ok=True)
    counts = {'train2017': int(train), 'val2017': int(val)}
    files: dict[Path, Any] = {}
    for split, count in counts.items():
        job = _Job(out / split, split, int(seed), tuple(arguments['image_size']))
        job.folder.mkdir(parents=True, exist_ok=True)
        images, annotations, detections = _collect(job, count, workers, progress)
        files[_annotation_file(out, split)] = {**header(arguments), 'images': images,
                                               'annotations': annotations}
    # of the validation split, the last one
    write_json(out / DETECTIONS, detections)
    for path, content in files.items():
        write_json(path, content)


def _arguments(train: int, val: int, seed: int, image_size: tuple[int, int]) -> Record:
    """The checked arguments that decide over the content, as they are stored."""
    _check('train', train, 0, _LARGEST)
    _check('val', val, 0, _LARGEST)
    _check('seed', seed, 0, 2 ** 32 - 1)
    if len(image_size) != 2:
        raise ValueError(f'image_size must be (width, height), got {image_size}')
    for name, side in zip(('image_size[0] (width)', 'image_size[1] (height)'), image_size):
        _check(name, side, *_SIDES)
    return {'train': int(train), 'val': int(val), 'seed': int(seed),
            'image_size': [int(side) for side in image_size], 'drawing': _VERSION}


def _check(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'{name} must be an integer from {low} to {high}, got {value!r}')
    if not low <= value <= high:
        raise ValueError(f'{name} must be from {low} to {high}, got {value}')


def _annotation_file(out: Path, split: str) -> Path:
    return out / 'annotations' / f'person_keypoints_{split}.json'


def _is_complete(out: Path, arguments: Record) -> bool:
    """Whether all files are there; raises where they are of another dataset."""
    paths = [_annotation_file(out, split) for split in _SPLITS]
    found = [_arguments_of(path) for path in paths if path.exists()]
    complete = len(found) == len(paths) and (out / DETECTIONS).exists()
    for path, other in zip((path for path in paths if path.exists()), found):
        if other is None:
            raise ValueError(f'out_dir: {path} was not made by this generator and is not '
                             'overwritten; please choose another out_dir')
        # an unfinished set of ours may be replaced, a finished one may not
        if complete and other != arguments:
            raise ValueError(f'out_dir: {out} holds a dataset made with {other}, but {arguments} '
                             'was asked for; please delete it, choose another out_dir or ask for '
                             'the same arguments')
    return complete


def _arguments_of(path: Path) -> Record | None:
    """The arguments in an annotation file's info, read without the rest of the file."""
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


def _collect(job: _Job, count: int, workers: int,
             progress: bool) -> tuple[list[Record], list[Record], list[Record]]:
    """Make ``count`` images; returns their image, annotation and detection entries in order."""
    images: list[Record] = []
    annotations: list[Record] = []
    detections: list[Record] = []
    with _mapped(partial(_make_image, job), range(count), workers) as results:
        for image, people, found in tqdm(results, total=count, desc=job.split, unit='img',
                                         disable=not progress):
            images.append(image)
            annotations += people
            detections += found
    return images, annotations, detections


@contextmanager
def _mapped(function: partial, items: range, workers: int) -> Iterator[Iterable]:
    """Results of ``function`` in order, from this process or from a pool of them."""
    if workers == 1 or len(items) <= _CHUNK:
        threads = cv2.getNumThreads()
        _use_one_thread()
        try:
            yield map(function, items)
        finally:
            cv2.setNumThreads(threads)
        return
    with ProcessPoolExecutor(workers, initializer=_use_one_thread) as pool:
        try:
            yield pool.map(function, items, chunksize=_CHUNK)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pool finishes all images first
            raise


def _use_one_thread() -> None:
    cv2.setNumThreads(1)


def _make_image(job: _Job, index: int) -> tuple[Record, list[Record], list[Record]]:
    """Draw and write image ``index`` of a split; returns its entries."""
    number, first_id = _SPLITS[job.split]
    rng = np.random.default_rng([job.seed, number, index])
    scene = render_scene(rng, job.image_size)
    name = f'{index + 1:012d}.jpg'
    _, encoded = cv2.imencode('.jpg', scene.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    write_atomically(job.folder / name, encoded.tobytes(), sync=False)
    image_id = first_id + index
    return (image_record(image_id, name, job.image_size), annotation_records(scene, image_id),
            detection_records(rng, scene, image_id))
