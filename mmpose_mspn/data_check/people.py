"""Data checks of the files that people are annotated in: COCO's format with several sets of keypoints, and MPII's."""
import os.path as osp
from collections import Counter
from functools import partial
from operator import contains
from typing import Callable, Dict, List, Sequence, Tuple

from scipy.io import loadmat

from mmpose_mspn.data_check.report import Report, image_sizes, inside, read_json
from mmpose_mspn.datasets.mpii_release import JOINTS
from mmpose_mspn.utils.numbers import is_finite
from mmpose_mspn.utils.visibility import CODES

KEYPOINTS: Dict[str, Dict[str, int]] = dict(
    CocoDataset=dict(keypoints=17),
    AicDataset=dict(keypoints=14),
    CrowdPoseDataset=dict(keypoints=14),
    CocoWholeBodyDataset=dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21))
"""By the type of the dataset: the fields of an annotation that hold keypoints, and how many each holds."""
IMAGE_FIELDS: Dict[str, Tuple[str, ...]] = dict(CrowdPoseDataset=('crowdIndex', ))
"""By the type of the dataset: the fields of an image that its evaluation reads and COCO's does not."""


def check_coco(ann_file: str, image_dir: str, report: Report, bbox_files: Sequence[str] = (),
               keypoints: Dict[str, int] = KEYPOINTS['CocoDataset'], image_fields: Sequence[str] = (),
               decode: bool = False, progress: bool = True) -> None:
    """Check a keypoint file in COCO's format, its images and perhaps detector boxes.

    People without labeled keypoints and crowds are left alone, as in training. Annotations may be absent (test-dev).

    Args:
        ann_file: COCO JSON.
        image_dir: Folder of the images.
        report: Takes note of the problems.
        bbox_files: Detections, JSON lists.
        keypoints: One of :data:`KEYPOINTS`. Visibility is 0, 1 or 2 in ``keypoints``, and any number >= 0 in the other
            fields; the coordinates of a keypoint of visibility 0 do not matter.
        image_fields: What every image has beyond COCO's fields, one of :data:`IMAGE_FIELDS`.
        decode: See :func:`mmpose_mspn.data_check.report.image_sizes`.
        progress: Likewise.
    """
    content = read_json(ann_file, report)
    if content is None:
        return
    if not isinstance(content, dict) or 'images' not in content:
        report.add('unreadable file', f'{ann_file}: not COCO\'s format, which has "images" and "annotations"')
        return
    needed = ('id', 'file_name', 'width', 'height', *image_fields)
    entries = _complete(content['images'], needed, f'image of {ann_file}', report)
    images = {image['id']: image for image in entries}
    _duplicates(entries, 'duplicate image id', ann_file, report)
    annotations = _complete(content.get('annotations', []), _fields(keypoints), f'annotation of {ann_file}', report)
    _duplicates(annotations, 'duplicate annotation id', ann_file, report)
    paths = {number: osp.join(image_dir, image['file_name']) for number, image in images.items()}
    sizes = image_sizes(paths.values(), report, decode, progress)
    for number, image in images.items():
        annotated = (image['width'], image['height'])
        if sizes.get(paths[number], annotated) != annotated:
            report.add('image of another size', f'{paths[number]}: {sizes[paths[number]]}, annotated {annotated}')
    for annotation in annotations:
        name = f'annotation {annotation["id"]} of {ann_file}'
        image = images.get(annotation['image_id'])
        if image is None:
            report.add('annotation of an unknown image', f'{name}: image {annotation["image_id"]}')
        elif not annotation.get('iscrowd') and annotation.get('num_keypoints', 1):
            _coco_person(annotation, keypoints, (image['width'], image['height']), name, report)
    for bbox_file in bbox_files:
        _detections(bbox_file, images, report)


def _fields(keypoints: Dict[str, int]) -> Tuple[str, ...]:
    """Fields that every annotation needs."""
    added = [field for field in keypoints if field != 'keypoints']
    # The stock datasets read COCO-WholeBody's of everyone, crowds too, and these two with them.
    return ('id', 'image_id', 'category_id', *added, *(('num_keypoints', 'segmentation') if added else ()))


def _complete(entries: List[dict], fields: Tuple[str, ...], name: str, report: Report) -> List[dict]:
    """The entries that have all fields."""
    whole = []
    for index, entry in enumerate(entries):
        missing = [field for field in fields if not isinstance(entry, dict) or field not in entry]
        if missing:
            report.add('incomplete entry', f'entry {index}, {name}: no {", ".join(missing)}')
        else:
            whole.append(entry)
    return whole


def _duplicates(entries: List[dict], kind: str, file: str, report: Report) -> None:
    for number, count in Counter(entry.get('id') for entry in entries).items():
        if count > 1:
            report.add(kind, f'{file}: {number} stands {count} times')


def _coco_person(annotation: dict, keypoints: Dict[str, int], size: Tuple[int, int], name: str,
                 report: Report) -> None:
    for field, count in keypoints.items():
        values = annotation.get(field) or []
        if len(values) != 3 * count:
            report.add('keypoints of another number', f'{name}: {field} has {len(values)} values, not {3 * count}')
        allowed, called = (_is_code, 'keypoint') if field == 'keypoints' else (_is_weight, field)
        for index in range(len(values) // 3):
            _keypoint(values[3 * index:3 * index + 3], allowed, size, 0, f'{name}: {called} {index}', report)
    _box(annotation.get('bbox') or (), size, name, report)


_is_code = partial(contains, CODES)
_is_labeled = partial(contains, (0, 1))


def _is_weight(visible: float) -> bool:
    """Whether it is a visibility of feet, faces and hands, which may be a fraction."""
    return is_finite(visible) and visible >= 0


def _keypoint(keypoint: Sequence[float], allowed: Callable[[float], bool], size: Tuple[int, int], first: int, name: str,
              report: Report) -> None:
    x, y, visible = keypoint
    if not allowed(visible):
        report.add('visibility out of range', f'{name} has {visible}')
    elif visible and not (is_finite(x, y) and inside(x, y, size, first)):
        report.add('keypoint outside the image', f'{name} at {(x, y)} in {size[0]} x {size[1]} px')


def _box(box: Sequence[float], size: Tuple[int, int], name: str, report: Report) -> None:
    if len(box) < 4 or not is_finite(*box[:4]) or min(box[2:4]) <= 0:
        report.add('box without a size', f'{name}: {list(box)}')
    elif box[0] >= size[0] or box[1] >= size[1] or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        report.add('box outside the image', f'{name}: {box} in {size[0]} x {size[1]} px')


def _detections(bbox_file: str, images: Dict[int, dict], report: Report) -> None:
    detections = read_json(bbox_file, report)
    if detections is None:
        return
    if not isinstance(detections, list):
        report.add('unreadable file', f'{bbox_file}: not a list of detections')
        return
    for index, detection in enumerate(detections):
        if detection.get('category_id', 1) != 1:  # not a person: the dataset passes it over
            continue
        name = f'detection {index} of {bbox_file}'
        image = images.get(detection.get('image_id'))
        if image is None:
            report.add('detection in an unknown image', f'{name}: image {detection.get("image_id")}')
            continue
        _box(detection.get('bbox') or (), (image['width'], image['height']), name, report)
        score = detection.get('score')
        if not is_finite(score):
            report.add('detection without a finite score', f'{name}: {score}')


def check_mpii(ann_file: str, image_dir: str, report: Report, headbox_files: Sequence[str] = (),
               decode: bool = False, progress: bool = True) -> None:
    """Check an MPII file, its images and perhaps head boxes (``.mat``); the other arguments are as for ``check_coco``.

    Coordinates count from 1. People of the test set have no joints.
    """
    people = read_json(ann_file, report)
    if people is None:
        return
    if not isinstance(people, list):
        report.add('unreadable file', f'{ann_file}: not a list of people')
        return
    annotated = len(people)
    people = _complete(people, ('image', 'center', 'scale'), f'person of {ann_file}', report)
    sizes = image_sizes((osp.join(image_dir, person['image']) for person in people), report, decode, progress)
    for index, person in enumerate(people):
        size = sizes.get(osp.join(image_dir, person['image']))
        if size is not None:
            _mpii_person(person, size, f'person {index} of {ann_file}', report)
    for headbox_file in headbox_files:
        _head_boxes(headbox_file, annotated, report)


def _mpii_person(person: dict, size: Tuple[int, int], name: str, report: Report) -> None:
    scale, center = person['scale'], person['center'] or ()
    if not is_finite(scale) or scale <= 0:
        report.add('box without a size', f'{name}: scale {scale}')
    if len(center) != 2 or not is_finite(*center) or not inside(*center, size, first=1):
        report.add('box outside the image', f'{name}: center {tuple(center)} in {size[0]} x {size[1]} px')
    if 'joints' not in person and 'joints_vis' not in person:
        return
    joints, visible = person.get('joints', []), person.get('joints_vis', [])
    if len(joints) != JOINTS or len(visible) != JOINTS:
        report.add('keypoints of another number',
                   f'{name}: {len(joints)} joints and {len(visible)} joints_vis, not {JOINTS}')
    for index, (joint, seen) in enumerate(zip(joints, visible)):
        _keypoint((*joint, seen), _is_labeled, size, 1, f'{name}: joint {index}', report)


def _head_boxes(headbox_file: str, people: int, report: Report) -> None:
    if not osp.exists(headbox_file):
        report.add('missing file', headbox_file)
        return
    try:
        boxes = loadmat(headbox_file)['headboxes_src']
    except (KeyError, ValueError, NotImplementedError, OSError) as error:
        report.add('unreadable file', f'{headbox_file}: {error}')
        return
    if boxes.shape != (2, 2, people):
        report.add('head boxes of other people', f'{headbox_file}: {boxes.shape}, not {(2, 2, people)}')
