"""Writes synthetic people as a dataset with COCO 2017's folders and files."""
import json
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

from mmpose_mspn.synthetic_people.body import KEYPOINT_NAMES
from mmpose_mspn.synthetic_people.scene import Person, Scene, render_scene
from mmpose_mspn.utils.errors import OutputError, UserError
from mmpose_mspn.utils.files import FilePath, write_atomically, write_json
from mmpose_mspn.utils.outputs import check_outputs, record_output, refuse_empty, write_json_output

# ---------------------------------------------------------------- records of images, annotations and detected boxes

Record = Dict[str, Any]

PERSON_ID = 1
"""COCO's category id of a person."""
ANNOTATIONS_PER_IMAGE = 10
"""An annotation's id is this times the image's id, plus its number; an image has at most 5 people."""
SKELETON = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
            (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7))
"""COCO's bones: pairs of keypoint numbers, counted from 1."""
FALSE_BOXES = 0.3
"""Share of images with a detected box that holds no person."""
DOUBLES = 0.1
"""Share of people with a second, less exact box of a low score."""


def header(arguments: Record) -> Record:
    """The parts of an annotation file that come before its images; ``arguments`` are stored in ``info``."""
    return {
        'info': {'description': 'Synthetic people in the layout of COCO 2017', 'version': '1.0', 'url': '',
                 'year': 2024, 'contributor': '', 'date_created': '2024/01/01', 'synthetic': arguments},
        'licenses': [{'id': 1, 'name': 'Apache-2.0', 'url': 'https://www.apache.org/licenses/LICENSE-2.0'}],
        'categories': [{'supercategory': 'person', 'id': PERSON_ID, 'name': 'person',
                        'keypoints': list(KEYPOINT_NAMES), 'skeleton': [list(bone) for bone in SKELETON]}],
    }


def image_record(image_id: int, file_name: str, image_size: Tuple[int, int]) -> Record:
    """COCO's entry of an image of ``image_size`` (w, h) px."""
    return {'id': image_id, 'license': 1, 'file_name': file_name, 'width': image_size[0], 'height': image_size[1],
            'date_captured': '', 'coco_url': '', 'flickr_url': ''}


def annotation_records(scene: Scene, image_id: int) -> List[Record]:
    """COCO's annotation entries of all people of a scene."""
    return [_annotation(scene, person, image_id, number) for number, person in enumerate(scene.people)]


def _annotation(scene: Scene, person: Person, image_id: int, number: int) -> Record:
    keypoints: List[float] = []
    for x, y, visibility in person.keypoints:
        keypoints += [round(float(x), 2), round(float(y), 2), int(visibility)]
    return {'id': image_id * ANNOTATIONS_PER_IMAGE + number, 'image_id': image_id, 'category_id': PERSON_ID,
            'iscrowd': 0, 'bbox': [float(side) for side in person.box], 'area': float(person.area),
            'num_keypoints': int((person.keypoints[:, 2] > 0).sum()), 'keypoints': keypoints,
            'segmentation': _polygons(scene.owner, person)}


def _polygons(owner: np.ndarray, person: Person) -> List[List[float]]:
    """Outlines of the pixels that show a person; the box if these are too few for an outline."""
    x, y, width, height = person.box
    mask = (owner[y:y + height, x:x + width] == person.owner).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    outlines = [cv2.approxPolyDP(outline, 0.8, True).reshape(-1) for outline in outlines]
    polygons = [outline.astype(float).tolist() for outline in outlines if len(outline) >= 6]
    box = [x, y, x + width, y, x + width, y + height, x, y + height]
    return polygons or [[float(side) for side in box]]


def detection_records(rng: np.random.Generator, scene: Scene, image_id: int) -> List[Record]:
    """Boxes as a detector would find them: each person's, a few percent off, and some errors of a low score."""
    height, width = scene.owner.shape
    size = np.array([width, height])
    boxes = []
    for person in scene.people:
        box = np.array(person.box, dtype=float)
        boxes.append((_jitter(rng, box, 0.02), rng.uniform(0.5, 1)))
        if rng.random() < DOUBLES:
            boxes.append((_jitter(rng, box, 0.12), rng.uniform(0.05, 0.4)))
    if rng.random() < FALSE_BOXES:
        extent = rng.uniform(0.1, 0.5, 2) * size
        corner = rng.uniform(0, 1, 2) * (size - extent)
        boxes.append((np.concatenate([corner, extent]), rng.uniform(0.01, 0.3)))
    return [{'image_id': image_id, 'category_id': PERSON_ID, 'bbox': _clip(box, size), 'score': round(float(score), 4)}
            for box, score in boxes]


def _jitter(rng: np.random.Generator, box: np.ndarray, spread: float) -> np.ndarray:
    """The box (x, y, width, height), moved and scaled by shares of its size with standard deviation ``spread``."""
    shift, growth = np.clip(rng.normal(0, spread, (2, 2)), -2 * spread, 2 * spread)
    extent = box[2:] * (1 + growth)
    return np.concatenate([box[:2] + box[2:] / 2 + shift * box[2:] - extent / 2, extent])


def _clip(box: np.ndarray, size: np.ndarray) -> List[float]:
    """The part of a box (x, y, width, height) inside an image of ``size`` (w, h), at least 1 px on each side."""
    low = np.clip(box[:2], 0, size - 1)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return [round(float(side), 2) for side in (*low, *(high - low))]


# ---------------------------------------------------------------- arguments, stored in the annotation files

DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
KIND = 'make_synthetic'
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
        UserError: An argument is out of its range.
    """
    check_integer('train', train, 0, LARGEST_SPLIT)
    check_integer('val', val, 0, LARGEST_SPLIT)
    check_integer('seed', seed, 0, 2**32 - 1)
    if len(image_size) != 2:
        raise UserError(f'image_size must be (width, height), got {image_size}')
    for name, side in zip(('image_size[0] (width)', 'image_size[1] (height)'), image_size):
        check_integer(name, side, *SIDES)
    return {'train': int(train), 'val': int(val), 'seed': int(seed), 'image_size': [int(side) for side in image_size],
            'drawing': DRAWING_VERSION}


def check_integer(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not an integer (TypeError), and integers outside ``low`` ... ``high`` (UserError), by name."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'{name} must be an integer from {low} to {high}, got {value!r}')
    if not low <= value <= high:
        raise UserError(f'{name} must be from {low} to {high}, got {value}')


def annotation_file(out: Path, split: str) -> Path:
    """The annotation file of a split in the dataset's folder ``out``."""
    return out / 'annotations' / f'person_keypoints_{split}.json'


def is_complete(out: Path, arguments: Record) -> bool:
    """Whether all files of the dataset are there.

    Raises:
        OutputError: The folder holds annotations of another origin, or a complete dataset of other arguments.
    """
    paths = [path for path in (annotation_file(out, split) for split in SPLITS) if path.exists()]
    complete = len(paths) == len(SPLITS) and (out / DETECTIONS).exists()
    for path in paths:
        stored = _arguments_of(path)
        if stored is None:
            raise OutputError(f'out_dir: {path} was not made by this generator and is not overwritten; please choose '
                              'another out_dir')
        # An unfinished dataset of ours may be replaced, a finished one may not.
        if complete and stored != arguments:
            raise OutputError(f'out_dir: {out} holds a dataset made with {stored}, but {arguments} was asked for; '
                              'please delete it, choose another out_dir or ask for the same arguments')
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


# ---------------------------------------------------------------- images and files

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
        UserError: An argument is out of its range, or (OutputError) ``out_dir`` holds annotations that were made with
            other arguments or not by this function.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    check_integer('workers', workers, 1, 1024)
    arguments = checked_arguments(train, val, seed, image_size)
    out = Path(out_dir)
    refuse_empty('out_dir', out_dir)
    if is_complete(out, arguments):
        return
    if not any(annotation_file(out, split).exists() for split in SPLITS):  # whose headers say that we have written them
        check_outputs('out_dir', [*(out / split for split in SPLITS), out / DETECTIONS], KIND)
    for split in SPLITS:
        record_output(out / split, KIND)
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
    write_json_output(out / DETECTIONS, detections, KIND)
    for path, content in annotation_files.items():
        write_json(path, content)


def _make_images(job: _Job, count: int, workers: int, progress: bool) -> Tuple[Records, Records, Records]:
    """Make ``count`` images; returns their image, annotation and detection records in order."""
    images: Records = []
    annotations: Records = []
    detections: Records = []
    with _mapped(partial(_make_image, job), range(count), workers) as results:
        for image, people, boxes in tqdm(results, total=count, desc=job.split, unit='img', disable=not progress):
            images.append(image)
            annotations += people
            detections += boxes
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
