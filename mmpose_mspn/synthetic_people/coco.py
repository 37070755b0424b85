"""Writes synthetic people as a dataset with COCO 2017's folders and files."""
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from mmpose_mspn.synthetic_people.annotations import (
    Record,
    annotation_records,
    detection_records,
    header,
    image_record,
)
from mmpose_mspn.synthetic_people.scene import render_scene
from mmpose_mspn.synthetic_people.stored_arguments import (
    DETECTIONS,
    SPLITS,
    annotation_file,
    check_integer,
    checked_arguments,
    is_complete,
)
from mmpose_mspn.utils.files import FilePath, write_atomically, write_json

TRAIN_IMAGES, VAL_IMAGES = 3000, 300
"""Enough people for the demo's few minutes of training."""
JPEG_QUALITY = 90
CHUNK = 16
"""Images that a worker takes at a time."""

Records = List[Record]


@dataclass(frozen=True)
class _Job:
    """What a worker needs to make any image of a split."""
    folder: Path
    split: str
    seed: int
    image_size: Tuple[int, int]


def generate(out_dir: FilePath,
             train: int = TRAIN_IMAGES,
             val: int = VAL_IMAGES,
             seed: int = 0,
             workers: Optional[int] = None,
             image_size: Tuple[int, int] = (320, 256),
             progress: bool = True) -> None:
    """Write a COCO-2017-style person keypoint dataset of drawn people.

    The files are ``train2017/``, ``val2017/`` (JPEG images), ``annotations/person_keypoints_{train,val}2017.json`` and
    :data:`DETECTIONS`. The same arguments give the same bytes, whatever ``workers`` is; image ``i`` of a split does not
    depend on ``train`` and ``val``. The annotation files are written last: without them a folder counts as unfinished,
    and the call starts over. On a finished folder with the same arguments the call returns at once.

    Args:
        out_dir: Folder of the dataset, made if missing.
        train: Number of training images, 0 to 999999.
        val: Number of validation images, 0 to 999999.
        seed: Seed of all randomness, 0 to 2**32 - 1.
        workers: Number of processes, at least 1; ``None`` takes one for each CPU.
        image_size: (w, h) in px, 64 to 4096 each.
        progress: Whether to show a progress bar with the remaining time.

    Raises:
        TypeError: A number is not an integer.
        ValueError: An argument is out of its range, or ``out_dir`` holds annotations that were made with other
            arguments or not by this function.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    check_integer('workers', workers, 1, 1024)
    arguments = checked_arguments(train, val, seed, image_size)
    out = Path(out_dir)
    if is_complete(out, arguments):
        return
    # The images are about to change, so the annotations of an unfinished dataset must not stay.
    for split in SPLITS:
        annotation_file(out, split).unlink(missing_ok=True)
    _write_dataset(out, arguments, workers, progress)


def _write_dataset(out: Path, arguments: Record, workers: int, progress: bool) -> None:
    """Write the images of both splits, then the detections of the validation split, then the annotations."""
    annotation_files: Dict[Path, Record] = {}
    for split, count in (('train2017', arguments['train']), ('val2017', arguments['val'])):
        job = _Job(out / split, split, arguments['seed'], tuple(arguments['image_size']))
        job.folder.mkdir(parents=True, exist_ok=True)
        images, annotations, detections = _make_images(job, count, workers, progress)
        annotation_files[annotation_file(out, split)] = {
            **header(arguments), 'images': images, 'annotations': annotations
        }
    write_json(out / DETECTIONS, detections)
    for path, content in annotation_files.items():
        write_json(path, content)


def _make_images(job: _Job, count: int, workers: int, progress: bool) -> Tuple[Records, Records, Records]:
    """Make ``count`` images; returns their image, annotation and detection records in order."""
    images: Records = []
    annotations: Records = []
    detections: Records = []
    with _mapped(partial(_make_image, job), range(count), workers) as results:
        for image, people, found in tqdm(results, total=count, desc=job.split, unit='img', disable=not progress):
            images.append(image)
            annotations += people
            detections += found
    return images, annotations, detections


@contextmanager
def _mapped(function: partial, items: range, workers: int) -> Iterator[Iterable[Any]]:
    """Results of ``function`` in order, computed in this process or in a pool of processes."""
    if workers == 1 or len(items) <= CHUNK:
        threads = cv2.getNumThreads()
        _use_one_thread()
        try:
            yield map(function, items)
        finally:
            cv2.setNumThreads(threads)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        try:
            yield pool.map(function, items, chunksize=CHUNK)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # otherwise the pool finishes all images first
            raise


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the first one ends the others
    _use_one_thread()


def _use_one_thread() -> None:
    cv2.setNumThreads(1)


def _make_image(job: _Job, index: int) -> Tuple[Record, Records, Records]:
    """Draw and write image ``index`` of a split; returns its image record, its annotations and its detections."""
    number, first_id = SPLITS[job.split]
    rng = np.random.default_rng([job.seed, number, index])
    scene = render_scene(rng, job.image_size)
    name = f'{index + 1:012d}.jpg'
    _, encoded = cv2.imencode('.jpg', scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_atomically(job.folder / name, encoded.tobytes(), sync=False)
    image_id = first_id + index
    return (image_record(image_id, name, job.image_size), annotation_records(scene, image_id),
            detection_records(rng, scene, image_id))
