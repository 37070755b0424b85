"""What a file in COCO's format must hold so that training and testing can use it.

The datasets refuse a file at its first problem, and ``tools/check_data.py`` lists all problems. Both call the functions
below with an ``add`` of their own, which takes the kind of a problem (a key of :data:`REMEDIES`) and a sentence that
says where it is and what is wrong. The functions accept any JSON content and raise nothing themselves.
"""
from collections import Counter
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.utils.numbers import are_finite, is_finite, is_id

Add = Callable[[str, str], None]
Size = Tuple[float, float]
"""Width and height of an image in px."""

PERSON = 1
"""The category of the boxes in a file of detections, unless the annotation file says otherwise."""
LARGEST_SIDE = 2**20
"""px; OpenCV reads no larger image."""
FAR = 10
"""Coordinates may lie this many times the image's longer side outside of it; beyond that they are mistakes."""
AREA_LIMIT = 4
"""An area larger than this many times the image and the box is a mistake."""
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
    'area out of range': 'write the area of the person in px², > 0 and not larger than its box or the image',
    'iscrowd out of range': 'write 1 for a crowd and 0 for a person',
    'num_keypoints out of range': 'write the number of labeled keypoints, an integer >= 0',
    'detection without a finite score': 'write a number as score',
}
"""What to do about each kind of problem."""


def refuse(kind: str, example: str) -> None:
    """Raise a ValueError about a problem of a file: an ``add`` for whoever cannot use the file."""
    raise ValueError(f'{example} ({kind}): {REMEDIES[kind]}; tools/check_data.py lists all such problems')


class CocoFields(NamedTuple):
    """What a dataset's annotation file holds."""
    keypoints: Dict[str, int]  # number of keypoints in each field of an annotation that holds keypoints
    image: Tuple[str, ...] = ()  # fields of an image that the dataset's evaluation reads, beyond COCO's


COCO_FIELDS: Dict[str, CocoFields] = dict(
    CocoDataset=CocoFields(dict(keypoints=17)),
    AicDataset=CocoFields(dict(keypoints=14)),
    CrowdPoseDataset=CocoFields(dict(keypoints=14), image=('crowdIndex', )),
    CocoWholeBodyDataset=CocoFields(
        dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)))
"""By the type of the dataset."""


def fields_of(dataset_type: str, num_keypoints: Optional[int] = None) -> CocoFields:
    """The fields of a dataset whose ``metainfo`` has ``num_keypoints``, if it has one."""
    fields = COCO_FIELDS[dataset_type]
    if num_keypoints is not None and list(fields.keypoints) == ['keypoints']:
        fields = fields._replace(keypoints=dict(keypoints=num_keypoints))
    return fields


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}…'


def is_file_name(value: object) -> bool:
    """Whether a value can be the name of a file."""
    return isinstance(value, str) and bool(value.strip()) and '\0' not in value


def entries_of(content: object, name: str, file: str, add: Add) -> List[object]:
    """The list that the file's content has under a name; empty if there is none."""
    if not isinstance(content, dict):
        add('unreadable file', f"{file}: not COCO's format, which is an object with \"images\" and \"annotations\"")
        return []
    entries = content.get(name, [])
    if not isinstance(entries, list):
        add('unreadable file', f"{file}: not COCO's format, in which {name} is a list; got {shown(entries)}")
        return []
    return entries


def complete_entries(entries: Sequence[object], fields: Tuple[str, ...], name: str, add: Add) -> List[dict]:
    """The entries that are objects with all of the fields."""
    complete = []
    for index, entry in enumerate(entries):
        missing = [field for field in fields if not isinstance(entry, dict) or field not in entry]
        if missing:
            add('incomplete entry', f'entry {index}, {name}: no {", ".join(missing)}')
        else:
            complete.append(entry)
    return complete


def check_categories(content: object, file: str, add: Add) -> Optional[List[int]]:
    """The ids of the file's categories, or ``None`` if it does not list them."""
    if not isinstance(content, dict) or 'categories' not in content:
        return None
    entries = complete_entries(entries_of(content, 'categories', file, add), ('id', ), f'category of {file}', add)
    for entry in entries:
        if not is_id(entry['id']):
            add('id that is not an integer', f'{file}: category id {shown(entry["id"])}')
    return [entry['id'] for entry in entries if is_id(entry['id'])]


def box_category(content: object) -> int:
    """The category of the boxes in a file of detections that belongs to an annotation file with this content.

    It is the one category that names keypoints, and :data:`PERSON` where none or several do.
    """
    entries = content.get('categories') if isinstance(content, dict) else None
    entries = entries if isinstance(entries, list) else []
    ids = [entry.get('id') for entry in entries if isinstance(entry, dict) and entry.get('keypoints')]
    return ids[0] if len(ids) == 1 and is_id(ids[0]) else PERSON


def check_images(content: object, fields: CocoFields, file: str, add: Add) -> Dict[int, dict]:
    """The usable images of a file by id."""
    complete = complete_entries(entries_of(content, 'images', file, add),
                                ('id', 'file_name', 'width', 'height', *fields.image), f'image of {file}', add)
    images, ids = {}, []
    for image in complete:
        if not is_id(image['id']):
            add('id that is not an integer', f'{file}: image id {shown(image["id"])}')
            continue
        ids.append(image['id'])
        name = f'image {image["id"]} of {file}'
        if not is_file_name(image['file_name']):
            add('image without a name', f'{name}: file_name {shown(image["file_name"])}')
        elif not all(is_finite(image[side]) and 1 <= image[side] <= LARGEST_SIDE for side in ('width', 'height')):
            add('image without a positive size',
                f'{name}: width {shown(image["width"])}, height {shown(image["height"])}')
        elif not all(is_finite(image[field]) for field in fields.image):
            add('incomplete entry', f'{name}: {", ".join(fields.image)} must be numbers')
        else:
            images[image['id']] = image
    _check_duplicates(ids, 'duplicate image id', file, add)
    return images


def check_annotations(content: object, fields: CocoFields, images: Dict[int, dict],
                      categories: Optional[Sequence[int]], file: str, add: Add) -> List[dict]:
    """The usable annotations of a file.

    Boxes and the field ``keypoints`` may be absent, because such people are left out of a training. Annotations in
    images that the file does not list are usable too, and nothing of them but their ids is checked.

    Args:
        content: The file's content.
        fields: The fields of this dataset.
        images: The images from :func:`check_images`.
        categories: Ids of categories, from :func:`check_categories`.
        file: What messages call the file.
        add: Takes each problem.
    """
    added = [field for field in fields.keypoints if field != 'keypoints']
    # mmpose reads the added keypoints of every annotation, crowds too, and then these two fields.
    needed = ('id', 'image_id', 'category_id', *added, *(('num_keypoints', 'segmentation') if added else ()))
    complete = complete_entries(entries_of(content, 'annotations', file, add), needed, f'annotation of {file}', add)
    sound, ids = [], []
    categories = None if categories is None else set(categories)
    for annotation in complete:
        wrong = [field for field in ('id', 'image_id', 'category_id') if not is_id(annotation[field])]
        if wrong:
            add('id that is not an integer',
                f'annotation {shown(annotation["id"])} of {file}: {wrong[0]} {shown(annotation[wrong[0]])}')
            continue
        ids.append(annotation['id'])
        name = f'annotation {annotation["id"]} of {file}'
        if categories is not None and annotation['category_id'] not in categories:
            add('category that is not listed',
                f'{name}: category_id {annotation["category_id"]} is not one of {shown(sorted(categories))}')
            continue
        image = images.get(annotation['image_id'])
        if image is None or check_annotation(annotation, fields, (image['width'], image['height']), name, add):
            sound.append(annotation)
    _check_duplicates(ids, 'duplicate annotation id', file, add)
    return sound


def check_annotation(annotation: dict, fields: CocoFields, size: Size, name: str, add: Add) -> bool:
    """Whether the values of an annotation in an image of ``size`` are of the right kind and finite."""
    if annotation.get('iscrowd', 0) not in (0, 1):
        add('iscrowd out of range', f'{name}: iscrowd {shown(annotation["iscrowd"])}')
        return False
    labeled = annotation.get('num_keypoints', 1)
    if not is_finite(labeled) or labeled < 0 or labeled != int(labeled):
        add('num_keypoints out of range', f'{name}: num_keypoints {shown(labeled)}')
        return False
    box_area, sound = 0., True
    if 'bbox' in annotation:
        sound = check_box_numbers(annotation['bbox'], size, name, add)
        if sound:
            box_area = annotation['bbox'][2] * annotation['bbox'][3]
    # A negative or a huge area would make any prediction count as right.
    if 'area' in annotation:
        area, limit = annotation['area'], AREA_LIMIT * max(size[0] * size[1], box_area)
        if not is_finite(area) or not 0 <= area <= limit:
            add('area out of range', f'{name}: area {shown(area)}')
            sound = False
    for field, count in fields.keypoints.items():
        if field in annotation:
            sound &= _check_keypoints(annotation, field, count, size, name, add)
    return sound


def is_person(annotation: dict) -> bool:
    """Whether training and testing use an annotation: no crowd, and not without labeled keypoints."""
    return not annotation.get('iscrowd') and bool(annotation.get('num_keypoints', 1))


def check_box_numbers(box: object, size: Size, name: str, add: Add, detected: bool = False) -> bool:
    """Whether a box is x, y, width and height in px, finite and not far outside of an image of ``size``.

    A detected box may have more numbers, which nothing reads, and a negative size: it is left out of a test then.
    """
    fitting = isinstance(box, list) and (len(box) == 4 or detected and len(box) > 4) and are_finite(box[:4])
    if not fitting or not detected and min(box[2:]) < 0:
        add('box without a positive size', f'{name}: bbox {shown(box)}')
        return False
    x, y, width, height = box[:4]
    if is_far(x, y, size) or is_far(x + width, y + height, size):
        add('coordinate far outside the image', f'{name}: bbox {shown(box)} in {size[0]} x {size[1]} px')
        return False
    return True


def is_far(x: float, y: float, size: Size) -> bool:
    """Whether a point lies so far outside of the image that it must be a mistake."""
    reach = FAR * max(size)
    return not (-reach <= x <= size[0] + reach and -reach <= y <= size[1] + reach)


def _check_keypoints(annotation: dict, field: str, count: int, size: Size, name: str, add: Add) -> bool:
    values = annotation[field]
    if values == [] and not is_person(annotation):
        return True
    if not isinstance(values, list) or len(values) != 3 * count:
        number = len(values) if isinstance(values, list) else shown(values)
        add('wrong number of keypoints', f'{name}: {field} has {number} values, not {3 * count}')
        return False
    called = 'keypoint' if field == 'keypoints' else field
    if are_finite(values):
        reach = FAR * max(size)
        if -reach <= min(values) and max(values) <= min(size) + reach:
            return True
    for index in range(count):
        x, y, visible = values[3 * index:3 * index + 3]
        where = f'{name}: {called} {index}'
        if not is_finite(visible):
            add('visibility out of range', f'{where} has {shown(visible)}')
        elif not is_finite(x, y):
            add('keypoint that is not finite', f'{where} at {shown((x, y))}')
        elif is_far(x, y, size):
            add('coordinate far outside the image', f'{where} at {shown((x, y))} in {size[0]} x {size[1]} px')
        else:
            continue
        return False
    return True


class Evaluation(NamedTuple):
    """What mmpose's COCO metrics read."""
    use_area: bool = True  # whether distances are measured by the annotated areas
    crowd: bool = False  # whether it is CrowdPose's evaluation


def check_evaluated(content: object, evaluation: Evaluation, file: str, add: Add) -> None:
    """Check a file against which predictions will be evaluated."""
    categories = check_categories(content, file, add)
    if categories is None:
        add('incomplete entry', f'{file}: no categories')
    images = check_images(content, CocoFields({}, ('crowdIndex', ) if evaluation.crowd else ()), file, add)
    annotations = check_annotations(content, CocoFields({}), images, categories, file, add)
    check_evaluated_annotations(annotations, images, evaluation, file, add)


def check_evaluated_annotations(annotations: Sequence[dict], images: Dict[int, dict], evaluation: Evaluation, file: str,
                                add: Add) -> None:
    """Check what the evaluation reads when all predictions are made: of crowds and unlabeled people too."""
    needed = ('bbox', 'keypoints', *(('area', ) if evaluation.use_area else ()),
              *(('num_keypoints', ) if evaluation.crowd else ()))
    for annotation in annotations:
        if annotation['image_id'] not in images:
            continue
        name = f'annotation {annotation["id"]} of {file}'
        missing = [field for field in needed if field not in annotation]
        if missing:
            without_area = '; without areas set use_area=False in the evaluator' if 'area' in missing else ''
            add('incomplete entry', f'{name}: no {", ".join(missing)}, which the evaluation reads{without_area}')
            continue
        keypoints = annotation['keypoints']
        if not isinstance(keypoints, list) or len(keypoints) % 3:
            add('wrong number of keypoints', f'{name}: keypoints {shown(keypoints)}')
        elif not are_finite(keypoints):
            add('keypoint that is not finite', f'{name}: {shown(keypoints)}')
        elif (evaluation.use_area and annotation['area'] == 0 and any(keypoints[2::3])
              and not annotation.get('iscrowd')):
            add('area out of range', f'{name}: area 0, with which no prediction counts as right')


def check_detections(detections: object, images: Dict[int, dict], file: str, add: Add,
                     wanted: int = PERSON) -> List[Tuple[int, dict]]:
    """The usable detections of the category ``wanted``, with their indices in the list.

    Those in unknown images are usable too.
    """
    if not isinstance(detections, list):
        add('unreadable file', f'{file}: not a list of detections')
        return []
    sound = []
    for index, detection in enumerate(detections):
        name = f'detection {index} of {file}'
        category = detection.get('category_id') if isinstance(detection, dict) else None
        needed = ('category_id', 'image_id', 'bbox') if category == wanted else ('category_id', )
        missing = [field for field in needed if not isinstance(detection, dict) or field not in detection]
        if missing:
            add('incomplete entry', f'{name}: no {", ".join(missing)}')
            continue
        wrong = [field for field in needed[:2] if not is_id(detection[field])]
        if wrong:
            add('id that is not an integer', f'{name}: {wrong[0]} {shown(detection[wrong[0]])}')
            continue
        if category != wanted:  # the dataset skips it
            continue
        image, score = images.get(detection['image_id']), detection.get('score')
        size = (image['width'], image['height']) if image else (LARGEST_SIDE, LARGEST_SIDE)
        if not is_finite(score):
            add('detection without a finite score', f'{name}: {shown(score)}')
        elif check_box_numbers(detection['bbox'], size, name, add, detected=True):
            sound.append((index, detection))
    return sound


def _check_duplicates(ids: List[int], kind: str, file: str, add: Add) -> None:
    """Report ids that several entries have."""
    for number, count in Counter(ids).items():
        if count > 1:
            add(kind, f'{file}: {number} occurs {count} times')
