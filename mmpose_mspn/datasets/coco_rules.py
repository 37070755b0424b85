"""What a file in COCO's format must hold so that training and testing can use it.

The datasets refuse a file at its first problem, and ``tools/check_data.py`` lists all problems. Both call the functions
below with an ``add`` of their own, see :mod:`mmpose_mspn.datasets.problems`. The functions accept any JSON content and
raise nothing themselves.
"""
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.datasets.coordinate_rules import check_coordinates
from mmpose_mspn.datasets.problems import FAR, LARGEST_SIDE, Add, shown
from mmpose_mspn.utils.numbers import are_finite, is_finite, is_id

Size = Tuple[float, float]
"""Width and height of an image in px."""

AREA_LIMIT = 4
"""An area larger than this many times the image and the box is a mistake."""


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
    people = [annotation for annotation in sound if annotation['image_id'] in images and is_person(annotation)]
    check_coordinates(people, images, 'keypoints' in fields.keypoints, file, add)
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


def _check_duplicates(ids: List[int], kind: str, file: str, add: Add) -> None:
    """Report ids that several entries have."""
    for number, count in Counter(ids).items():
        if count > 1:
            add(kind, f'{file}: {number} occurs {count} times')
