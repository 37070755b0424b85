"""Data checks of COCO and MPII files, of the folders that the configs expect and of whatever a config names."""
import os.path as osp
from collections import Counter
from math import isfinite
from typing import Dict, Iterator, List, Optional, Tuple

from mmengine.config import Config
from scipy.io import loadmat

from mmpose_mspn.datasets.check import Report, image_sizes, inside, read_json

COCO_KEYPOINTS = 17
MPII_JOINTS = 16


def check_coco(ann_file: str, image_dir: str, report: Report, bbox_file: Optional[str] = None, decode: bool = False,
               progress: bool = True) -> None:
    """Check a COCO keypoint file, its images and perhaps detector boxes.

    People without labelled keypoints and crowds are left alone, as in training. Annotations may be absent (test-dev).

    Args:
        ann_file: COCO JSON.
        image_dir: Folder of the images.
        report: Takes note of the problems.
        bbox_file: Detections, a JSON list.
        decode: See :func:`mmpose_mspn.datasets.check.image_sizes`.
        progress: Likewise.
    """
    content = read_json(ann_file, report)
    if content is None:
        return
    if not isinstance(content, dict) or 'images' not in content:
        report.add('unreadable file', f'{ann_file}: not COCO\'s format, which has "images" and "annotations"')
        return
    entries = _complete(content['images'], ('id', 'file_name', 'width', 'height'), f'image of {ann_file}', report)
    images = {image['id']: image for image in entries}
    _duplicates(entries, 'duplicate image id', ann_file, report)
    annotations = _complete(content.get('annotations', []), ('id', 'image_id', 'category_id'),
                            f'annotation of {ann_file}', report)
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
            _coco_person(annotation, (image['width'], image['height']), name, report)
    if bbox_file:
        _detections(bbox_file, images, report)


def _complete(entries: List[dict], fields: Tuple[str, ...], name: str, report: Report) -> List[dict]:
    """The entries that have all fields."""
    whole = []
    for index, entry in enumerate(entries):
        missing = [field for field in fields if field not in entry]
        if missing:
            report.add('incomplete entry', f'entry {index}, {name}: no {", ".join(missing)}')
        else:
            whole.append(entry)
    return whole


def _duplicates(entries: List[dict], kind: str, file: str, report: Report) -> None:
    for number, count in Counter(entry.get('id') for entry in entries).items():
        if count > 1:
            report.add(kind, f'{file}: {number} stands {count} times')


def _coco_person(annotation: dict, size: Tuple[int, int], name: str, report: Report) -> None:
    keypoints = annotation.get('keypoints', [])
    if len(keypoints) != 3 * COCO_KEYPOINTS:
        report.add('keypoints of another number', f'{name}: {len(keypoints)} values, not {3 * COCO_KEYPOINTS}')
    for index in range(len(keypoints) // 3):
        _keypoint(keypoints[3 * index:3 * index + 3], (0, 1, 2), size, 0, f'{name}: keypoint {index}', report)
    _box(annotation.get('bbox', ()), size, name, report)


def _keypoint(keypoint: Tuple[float, float, int], allowed: tuple, size: Tuple[int, int], first: int, name: str,
              report: Report) -> None:
    x, y, visible = keypoint
    if visible not in allowed:
        report.add('visibility out of range', f'{name} has {visible}')
    elif visible and not inside(x, y, size, first):
        report.add('keypoint outside the image', f'{name} at {(x, y)} in {size[0]} x {size[1]} px')


def _box(box: list, size: Tuple[int, int], name: str, report: Report) -> None:
    if len(box) < 4 or not all(map(isfinite, box[:4])) or min(box[2:4]) <= 0:
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
        if detection.get('category_id', 1) != 1:  # not a person: the data set passes it over
            continue
        name = f'detection {index} of {bbox_file}'
        image = images.get(detection.get('image_id'))
        if image is None:
            report.add('detection in an unknown image', f'{name}: image {detection.get("image_id")}')
            continue
        _box(detection.get('bbox', ()), (image['width'], image['height']), name, report)
        score = detection.get('score')
        if not isinstance(score, (int, float)) or not isfinite(score):
            report.add('detection without a finite score', f'{name}: {score}')


def check_mpii(ann_file: str, image_dir: str, report: Report, headbox_file: Optional[str] = None,
               decode: bool = False, progress: bool = True) -> None:
    """Check an MPII file, its images and perhaps head boxes; the arguments are as for :func:`check_coco`.

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
    if headbox_file:
        _head_boxes(headbox_file, annotated, report)


def _mpii_person(person: dict, size: Tuple[int, int], name: str, report: Report) -> None:
    scale, centre = person['scale'], person['center']
    if not scale > 0:
        report.add('box without a size', f'{name}: scale {scale}')
    if not inside(*centre, size, first=1):
        report.add('box outside the image', f'{name}: centre {tuple(centre)} in {size[0]} x {size[1]} px')
    if 'joints' not in person and 'joints_vis' not in person:
        return
    joints, visible = person.get('joints', []), person.get('joints_vis', [])
    if len(joints) != MPII_JOINTS or len(visible) != MPII_JOINTS:
        report.add('keypoints of another number',
                   f'{name}: {len(joints)} joints and {len(visible)} joints_vis, not {MPII_JOINTS}')
    for index, (joint, seen) in enumerate(zip(joints, visible)):
        _keypoint((*joint, seen), (0, 1), size, 1, f'{name}: joint {index}', report)


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


def check_coco_folder(folder: str, report: Report, **options) -> None:
    """Both splits of COCO 2017 and the detector boxes of val2017, where the configs look for them."""
    boxes = osp.join(folder, 'person_detection_results', 'COCO_val2017_detections_AP_H_56_person.json')
    for split, bbox_file in (('train2017', None), ('val2017', boxes)):
        check_coco(osp.join(folder, 'annotations', f'person_keypoints_{split}.json'), osp.join(folder, split), report,
                   bbox_file, **options)


def check_mpii_folder(folder: str, report: Report, **options) -> None:
    """Training and validation people of MPII, where mmpose's configs look for them."""
    heads = osp.join(folder, 'annotations', 'mpii_gt_val.mat')
    for split, headbox_file in (('train', None), ('val', heads)):
        check_mpii(osp.join(folder, 'annotations', f'mpii_{split}.json'), osp.join(folder, 'images'), report,
                   headbox_file, **options)


def check_config(cfg: Config, report: Report, **options) -> None:
    """The files of all COCO and MPII data sets that a config trains, validates and tests with, each once.

    Raises:
        ValueError: It names no such data set.
    """
    sets = {}
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for data in _leaves((cfg.get(loader) or {}).get('dataset')):
            check, extra = _CHECKS[data['type'].split('.')[-1]]
            root = data.get('data_root') or ''
            files = [osp.join(root, path or '') for path in (data['ann_file'], data.get('data_prefix', {}).get('img'))]
            more = data.get(extra)
            sets[(check, *files, more and osp.join(root, more))] = None
    if not sets:
        raise ValueError(f'the config names no data set of {", ".join(_CHECKS)} to check')
    for check, ann_file, image_dir, more in sets:
        check(ann_file, image_dir, report, more, **options)


_CHECKS = dict(CocoDataset=(check_coco, 'bbox_file'), MpiiDataset=(check_mpii, 'headbox_file'))


def _leaves(data: Optional[dict]) -> Iterator[dict]:
    """The data sets that a config's entry consists of: itself, or what it repeats or combines."""
    if not data:
        return
    if data['type'].split('.')[-1] in _CHECKS:
        yield data
    for inner in [data.get('dataset'), *data.get('datasets', [])]:
        yield from _leaves(inner)
