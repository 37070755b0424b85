"""Checks of the files of a dataset against each other: annotations, images and boxes, in the usual folders."""
import json
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

import mmcv
from PIL import Image
from tqdm import tqdm

from mmpose_mspn.data_check.coco import (
    COCO_FIELDS,
    CocoFields,
    Evaluation,
    Size,
    box_category,
    check_coco,
    check_detections,
    check_evaluated_annotations,
    fields_of,
    is_person,
    size_of,
)
from mmpose_mspn.data_check.mpii import PIXEL_STD, MpiiPerson, check_head_boxes, check_person
from mmpose_mspn.data_check.problems import FAR, Check, Problem, check_json
from mmpose_mspn.utils.numbers import CODES, is_finite, is_id

BOX_OPTIONS = dict(dict.fromkeys(COCO_FIELDS, 'bbox_file'), MpiiDataset='headbox_file')
"""By the type of each dataset that can be checked: the option that names its boxes."""
LOADED_FORMATS = ('JPEG', 'PNG', 'BMP')
"""Formats whose header says enough to know what the loader makes of a file without an EXIF orientation."""
ORIENTATION = 0x0112
"""The EXIF tag that says how an image must be turned for display."""



class DatasetFiles(NamedTuple):
    """The files that a dataset reads."""
    dataset_type: str  # one of BOX_OPTIONS
    ann_file: str
    image_dir: str
    boxes: Tuple[str, ...] = ()  # files of a detector's boxes; MPII: of head boxes
    num_keypoints: Optional[int] = None  # of the dataset's own metainfo, if it has one
    evaluation: Optional[Evaluation] = None  # what is evaluated against the annotations, if anything is


class Layout(NamedTuple):
    """A folder's datasets, with paths relative to it."""
    title: str
    datasets: List[DatasetFiles]


COCO_BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
AIC_IMAGES = 'ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902'
LAYOUTS: Dict[str, Layout] = dict(
    coco=Layout('COCO 2017', [
        DatasetFiles('CocoDataset', 'annotations/person_keypoints_train2017.json', 'train2017'),
        DatasetFiles('CocoDataset', 'annotations/person_keypoints_val2017.json', 'val2017', (COCO_BOXES, )),
    ]),
    wholebody=Layout('COCO 2017 with COCO-WholeBody', [
        DatasetFiles('CocoWholeBodyDataset', 'annotations/coco_wholebody_train_v1.0.json', 'train2017'),
        DatasetFiles('CocoWholeBodyDataset', 'annotations/coco_wholebody_val_v1.0.json', 'val2017', (COCO_BOXES, )),
    ]),
    aic=Layout('AI Challenger', [DatasetFiles('AicDataset', 'annotations/aic_train.json', AIC_IMAGES)]),
    crowdpose=Layout('CrowdPose', [
        DatasetFiles('CrowdPoseDataset', 'annotations/mmpose_crowdpose_trainval.json', 'images'),
        DatasetFiles('CrowdPoseDataset', 'annotations/mmpose_crowdpose_test.json', 'images',
                     ('annotations/det_for_crowd_test_0.1_0.5.json', )),
    ]),
    mpii=Layout('MPII', [
        DatasetFiles('MpiiDataset', 'annotations/mpii_train.json', 'images'),
        DatasetFiles('MpiiDataset', 'annotations/mpii_val.json', 'images', ('annotations/mpii_gt_val.mat', )),
    ]))
"""By name. docs/data.md draws them; the configs' ``data_root`` is the folder."""


def check_folder(layout: str, folder: str, **options) -> Check[None]:
    """Check the datasets of a folder.

    Args:
        layout: One of :data:`LAYOUTS`.
        options: See :func:`check_files`.
    """
    for files in LAYOUTS[layout].datasets:
        yield from check_files(
            files._replace(
                ann_file=osp.join(folder, files.ann_file),
                image_dir=osp.join(folder, files.image_dir),
                boxes=tuple(osp.join(folder, path) for path in files.boxes)), **options)


def check_files(files: DatasetFiles, decode: bool = False, progress: bool = True) -> Check[None]:
    """Check the files of a dataset.

    Of COCO's format, people without labeled keypoints and crowds are not checked, because training skips them, and
    annotations may be absent (test-dev). Of MPII's format, people of the test set have no keypoints.

    Args:
        decode: Whether to decode every pixel of the images. Reading the headers alone, which is faster, misses
            truncated files.
    """
    content = yield from check_json(files.ann_file)
    if content is None:
        return
    open_images = partial(image_sizes, decode=decode, progress=progress)
    if files.dataset_type == 'MpiiDataset':
        yield from _check_mpii(content, files, open_images)
    else:
        yield from _check_coco(content, files, open_images)


# ---------------------------------------------------------------- images


class ImageSize(NamedTuple):
    """Sizes (width, height) of an image, in px."""
    stored: Tuple[int, int]
    loaded: Tuple[int, int]  # what mmcv loads, turned by the EXIF orientation where the format and OpenCV support it


OpenImages = Callable[[Iterable[str]], Check[Dict[str, ImageSize]]]


def image_sizes(paths: Iterable[str], decode: bool = False, progress: bool = True) -> Check[Dict[str, ImageSize]]:
    """The sizes, by path, of the images that open. The arguments are those of :func:`check_files`."""
    paths = list(dict.fromkeys(paths))
    sizes = {}
    pool = ThreadPoolExecutor()
    try:
        opened = zip(paths, pool.map(partial(open_image, decode=decode), paths))
        for path, (size, fault) in tqdm(opened, 'images', len(paths), disable=not progress):
            if size is not None:
                sizes[path] = size
            elif fault is None:
                yield Problem('missing image', path)
            else:
                yield Problem('image that does not open', f'{path}: {fault}')
    finally:
        pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait until all images are opened
    return sizes


def open_image(path: str, decode: bool) -> Tuple[Optional[ImageSize], Optional[str]]:
    """(size, ``None``), or (``None``, the fault) if the file does not open; twice ``None`` if there is no file.

    Args:
        path: The file.
        decode: Whether to decode every pixel, or to read the header alone where that suffices.
    """
    if not osp.exists(path):
        return None, None
    try:
        with Image.open(path) as image:
            stored = image.size
            by_header = image.format in LOADED_FORMATS and _is_upright(image)
            if decode:
                image.load()
            elif by_header:
                image.verify()
        if by_header and not decode:
            return ImageSize(stored, stored), None
        loaded = mmcv.imread(path)
        if loaded is None:
            return None, 'OpenCV, with which images are loaded, does not read it'
        return ImageSize(stored, (loaded.shape[1], loaded.shape[0])), None
    except Exception as error:  # decoders raise errors of any type on a broken file
        return None, str(error) or type(error).__name__


def _is_upright(image: Image.Image) -> bool:
    """Whether the header of an image has no EXIF orientation other than the usual one."""
    # Without the first condition, Pillow would decode a whole PNG file in search of tags.
    return 'exif' not in image.info or image.getexif().get(ORIENTATION, 1) == 1


# ---------------------------------------------------------------- COCO


def _check_coco(content: object, files: DatasetFiles, open_images: OpenImages) -> Check[None]:
    file, fields = files.ann_file, fields_of(files.dataset_type, files.num_keypoints)
    if not isinstance(content, dict) or 'images' not in content:
        yield Problem('unreadable file', f'{file}: not COCO\'s format, which has "images" and "annotations"')
        return
    with open(file, 'rb') as opened:
        encoding = json.detect_encoding(opened.read(4))
    if encoding != 'utf-8':
        yield Problem('unreadable file',
                      f'{file}: written in {encoding}, but mmpose reads utf-8 (without a byte order mark)')
        return
    coco = yield from check_coco(content, fields, file)
    if coco.categories is None:
        yield Problem('incomplete entry', f'{file}: no categories')
    yield from _check_image_sizes(coco.images, files.image_dir, open_images)
    listed = _listed_ids(content)
    for annotation in coco.annotations:
        name = f'annotation {annotation["id"]} of {file}'
        image = coco.images.get(annotation['image_id'])
        if image is not None:
            if is_person(annotation):
                yield from _check_person(annotation, fields, size_of(image), name)
        elif annotation['image_id'] not in listed:
            yield Problem('annotation of an unknown image', f'{name}: image {annotation["image_id"]}')
    entries = content.get('annotations', [])
    all_sound = isinstance(entries, list) and len(coco.annotations) == len(entries)
    if not files.boxes and all_sound and not any(map(_is_used, coco.annotations)):
        yield Problem('file without people', file)
    if files.evaluation is not None:
        yield from check_evaluated_annotations(coco, files.evaluation, file)
    for bbox_file in files.boxes:
        yield from _check_detections(bbox_file, coco.images, listed, box_category(content))


def _is_used(annotation: dict) -> bool:
    """Whether a sound annotation is a person whom the datasets do not leave out."""
    return is_person(annotation) and 'bbox' in annotation and max(annotation.get('keypoints') or [0]) > 0


def _listed_ids(content: dict) -> Set[int]:
    """Ids of all images that the file lists, those with problems among them."""
    entries = content['images'] if isinstance(content['images'], list) else []
    return {image['id'] for image in entries if isinstance(image, dict) and is_id(image.get('id'))}


def _check_image_sizes(images: Dict[int, dict], image_dir: str, open_images: OpenImages) -> Check[None]:
    """Check that the images open and have the annotated sizes."""
    paths = {number: osp.join(image_dir, image['file_name']) for number, image in images.items()}
    sizes = yield from open_images(paths.values())
    for number, image in images.items():
        annotated, size = size_of(image), sizes.get(paths[number])
        if size is None or size.loaded == annotated:
            continue
        if size.loaded != size.stored and size.stored == annotated:
            yield Problem('annotations of an unrotated photograph',
                          f'{paths[number]}: {size.loaded} as loaded, annotated {annotated} as stored')
        else:
            yield Problem('wrong image size', f'{paths[number]}: {size.loaded}, annotated {annotated}')


def _check_person(annotation: dict, fields: CocoFields, size: Size, name: str) -> Iterator[Problem]:
    """Check that the keypoints and the box of a person lie in the image of ``size``."""
    for field, count in fields.keypoints.items():
        values = annotation.get(field, [])
        if not values:
            yield Problem('wrong number of keypoints', f'{name}: {field} has 0 values, not {3 * count}')
        for index in range(len(values) // 3):
            x, y, visible = values[3 * index:3 * index + 3]
            # The visibility of feet, faces and hands may be a fraction.
            is_visibility = visible in CODES if field == 'keypoints' else is_finite(visible) and visible >= 0
            where = f'{name}: {"keypoint" if field == "keypoints" else field} {index}'
            yield from _check_keypoint(x, y, visible, is_visibility, size, 0, where)
    yield from _check_box(annotation.get('bbox', ()), size, name)


def _check_keypoint(x: float, y: float, visible: float, is_visibility: bool, size: Size, first: int,
                    name: str) -> Iterator[Problem]:
    """Check a keypoint in an image whose first pixel has the number ``first``."""
    if not is_visibility:
        yield Problem('visibility out of range', f'{name} has {visible}')
    elif visible and not (is_finite(x, y) and _is_inside(x, y, size, first)):
        yield Problem('keypoint outside the image', f'{name} at {(x, y)} in {size[0]} x {size[1]} px')


def _is_inside(x: float, y: float, size: Size, first: int) -> bool:
    """Whether a point lies in an image, whose far edges belong to it."""
    return first <= x <= size[0] + first and first <= y <= size[1] + first


def _check_box(box: Sequence[float], size: Size, name: str) -> Iterator[Problem]:
    """Check that a box (x, y, width, height) in px overlaps the image."""
    if len(box) < 4 or not is_finite(*box[:4]) or min(box[2:4]) <= 0:
        yield Problem('box without a positive size', f'{name}: {list(box)}')
    elif box[0] >= size[0] or box[1] >= size[1] or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        yield Problem('box outside the image', f'{name}: {box} in {size[0]} x {size[1]} px')


def _check_detections(bbox_file: str, images: Dict[int, dict], listed: Set[int], category: int) -> Check[None]:
    """Check detector boxes of a category in the ``images``; ``listed`` are also the ids of images with problems."""
    detections = yield from check_json(bbox_file)
    if detections is None:
        return
    people = yield from check_detections(detections, images, bbox_file, category)
    for index, detection in people:
        name = f'detection {index} of {bbox_file}'
        image = images.get(detection['image_id'])
        if image is not None:
            yield from _check_box(detection['bbox'], size_of(image), name)
        elif detection['image_id'] not in listed:
            yield Problem('detection in an unknown image', f'{name}: image {detection["image_id"]}')
    if detections == []:
        yield Problem('file without detections', bbox_file)
    elif isinstance(detections, list) and all(
            isinstance(detection, dict) and is_id(detection.get('category_id')) and detection['category_id'] != category
            for detection in detections):
        yield Problem('detections of other categories only', bbox_file)


# ---------------------------------------------------------------- MPII


def _check_mpii(content: object, files: DatasetFiles, open_images: OpenImages) -> Check[None]:
    file = files.ann_file
    if not isinstance(content, list):
        yield Problem('unreadable file', f'{file}: not a list of people')
        return
    people: List[Tuple[str, MpiiPerson]] = []
    for index, entry in enumerate(content):
        name = f'person {index} of {file}'
        person = yield from check_person(entry, name, with_labels=False)
        if person is not None:
            people.append((name, person))
    sizes = yield from open_images(osp.join(files.image_dir, person.image) for _, person in people)
    for name, person in people:
        size = sizes.get(osp.join(files.image_dir, person.image))
        if size is not None:
            yield from _check_mpii_person(person, size.loaded, name)
    for headbox_file in files.boxes:
        yield from check_head_boxes(headbox_file, len(content))


def _check_mpii_person(person: MpiiPerson, size: Size, name: str) -> Iterator[Problem]:
    """Check the position and the keypoints of a person in an image of ``size``, whose pixels count from 1."""
    if person.scale is None:
        yield Problem('box without a positive size', f'{name}: its scale is no finite number > 0')
    elif PIXEL_STD * person.scale > (1 + FAR) * max(size):
        yield Problem('coordinate far outside the image',
                      f'{name}: scale {float(person.scale):g} in {size[0]} x {size[1]} px')
    center = None if person.center is None else person.center.tolist()
    if center is None or not _is_inside(*center, size, first=1):
        yield Problem('box outside the image', f'{name}: center {center} in {size[0]} x {size[1]} px')
    for index, ((x, y), labeled) in enumerate(zip(person.joints.tolist(), person.joints_vis.tolist())):
        yield from _check_keypoint(x, y, labeled, labeled in (0, 1), size, 1, f'{name}: joint {index}')
