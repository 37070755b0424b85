"""What a file in COCO's format must hold so that training and testing can use it: annotated people, detected boxes, and
what mmpose's evaluation reads.

The checks accept any JSON content and raise nothing themselves, see :mod:`mmpose_mspn.data_check.problems`.
"""
from collections import Counter
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.data_check.problems import FAR, LARGEST_SIDE, Check, Problem, complete_entries, is_file_name
from mmpose_mspn.utils.arguments import truncate
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath, read_json
from mmpose_mspn.utils.numbers import are_finite, is_finite, is_id

Size = Tuple[float, float]
"""Width and height of an image in px."""

AREA_LIMIT = 4
"""An area larger than this many times the image and the box is a mistake."""
SMALLEST_SHARE = 0.1
"""An area below 1 px² must be at least this share of the box, or it is a share of something itself."""
CORNERS = 1e-3
"""Share of labeled keypoints at exactly (0, 0) from which on they are labels of keypoints that are not labeled."""
BEYOND = 1.1
"""Boxes that reach further than this share of the image's width or height are counted as reaching beyond it."""
FEWEST_KEYPOINTS = 3
"""Labeled keypoints that a file must have so that their unit can be told."""
PERSON = 1
"""The category of the boxes in a file of detections, unless the annotation file says otherwise."""


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


class CocoFile(NamedTuple):
    """What is usable of an annotation file."""
    categories: Optional[List[int]]  # their ids; None if the file does not list them
    images: Dict[int, dict]  # by id
    annotations: List[dict]


class Evaluation(NamedTuple):
    """What mmpose's COCO metrics read."""
    use_area: bool = True  # whether distances are measured by the annotated areas
    crowd: bool = False  # whether it is CrowdPose's evaluation


def fields_of(dataset_type: str, num_keypoints: Optional[int] = None) -> CocoFields:
    """The fields of a dataset whose ``metainfo`` has ``num_keypoints``, if it has one."""
    fields = COCO_FIELDS[dataset_type]
    if num_keypoints is not None and list(fields.keypoints) == ['keypoints']:
        fields = fields._replace(keypoints=dict(keypoints=num_keypoints))
    return fields


def read_coco(name: str, path: FilePath, lists: Sequence[str] = ('images', )) -> dict:
    """The content of an annotation file in COCO's format: an object that holds lists.

    Args:
        name: What messages call the file, such as the option that names it.
        lists: The lists that it must hold.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not JSON, or not in this format.
    """
    content = read_json(name, path)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        raise DataError(f"{name} {path} is not in COCO's format, an object with the lists {' and '.join(lists)}: "
                        'export it as COCO keypoints, or convert it with tools/convert_annotations.py')
    return content


# ---------------------------------------------------------------- annotation files


def check_coco(content: object, fields: CocoFields, file: str) -> Check[CocoFile]:
    """The usable categories, images and annotations of a file.

    Boxes and the field ``keypoints`` may be absent, because such people are left out of a training. Annotations in
    images that the file does not list are usable too, and nothing of them but their ids is checked.

    Args:
        file: What messages call the file.
    """
    categories = None
    if isinstance(content, dict) and 'categories' in content:
        categories = yield from _check_categories(content, file)
    images = yield from _check_images(content, fields, file)
    annotations = yield from _check_annotations(content, fields, images, categories, file)
    return CocoFile(categories, images, annotations)


def is_person(annotation: dict) -> bool:
    """Whether training and testing use an annotation: no crowd, and not without labeled keypoints."""
    return not annotation.get('iscrowd') and bool(annotation.get('num_keypoints', 1))


def check_entries(content: object, key: str, fields: Sequence[str], name: str, file: str) -> Check[List[dict]]:
    """The complete entries of a list that a file's content has under ``key``; none if it is absent."""
    if not isinstance(content, dict):
        yield Problem('unreadable file', f"{file}: not COCO's format, which is an object with \"images\" and "
                      '"annotations"')
        return []
    entries = content.get(key, [])
    if not isinstance(entries, list):
        yield Problem('unreadable file', f"{file}: not COCO's format, in which {key} is a list; got "
                      f'{truncate(entries)}')
        return []
    complete = yield from complete_entries(entries, fields, f'{name} of {file}')
    return [entry for _, entry in complete]


def _check_categories(content: dict, file: str) -> Check[List[int]]:
    entries = yield from check_entries(content, 'categories', ('id', ), 'category', file)
    for entry in entries:
        if not is_id(entry['id']):
            yield Problem('id that is not an integer', f'{file}: category id {truncate(entry["id"])}')
    return [entry['id'] for entry in entries if is_id(entry['id'])]


def _check_images(content: object, fields: CocoFields, file: str) -> Check[Dict[int, dict]]:
    needed = ('id', 'file_name', 'width', 'height', *fields.image)
    images, ids = {}, []
    for image in (yield from check_entries(content, 'images', needed, 'image', file)):
        if not is_id(image['id']):
            yield Problem('id that is not an integer', f'{file}: image id {truncate(image["id"])}')
            continue
        ids.append(image['id'])
        name = f'image {image["id"]} of {file}'
        if not is_file_name(image['file_name']):
            yield Problem('image without a name', f'{name}: file_name {truncate(image["file_name"])}')
        elif not all(is_finite(image[side]) and 1 <= image[side] <= LARGEST_SIDE for side in ('width', 'height')):
            yield Problem('image without a positive size',
                          f'{name}: width {truncate(image["width"])}, height {truncate(image["height"])}')
        elif not all(is_finite(image[field]) for field in fields.image):
            yield Problem('incomplete entry', f'{name}: {", ".join(fields.image)} must be numbers')
        else:
            images[image['id']] = image
    yield from _duplicates(ids, 'duplicate image id', file)
    return images


def _check_annotations(content: object, fields: CocoFields, images: Dict[int, dict],
                       categories: Optional[Sequence[int]], file: str) -> Check[List[dict]]:
    added = [field for field in fields.keypoints if field != 'keypoints']
    # mmpose reads the added keypoints of every annotation, crowds too, and then these two fields.
    needed = ('id', 'image_id', 'category_id', *added, *(('num_keypoints', 'segmentation') if added else ()))
    sound, ids = [], []
    listed = None if categories is None else set(categories)
    for annotation in (yield from check_entries(content, 'annotations', needed, 'annotation', file)):
        wrong = [field for field in ('id', 'image_id', 'category_id') if not is_id(annotation[field])]
        if wrong:
            yield Problem('id that is not an integer', f'annotation {truncate(annotation["id"])} of {file}: '
                          f'{wrong[0]} {truncate(annotation[wrong[0]])}')
            continue
        ids.append(annotation['id'])
        name = f'annotation {annotation["id"]} of {file}'
        if listed is not None and annotation['category_id'] not in listed:
            yield Problem('category that is not listed', f'{name}: category_id {annotation["category_id"]} is not one '
                          f'of {truncate(sorted(listed))}')
            continue
        image = images.get(annotation['image_id'])
        if image is None or (yield from _check_values(annotation, fields, size_of(image), name)):
            sound.append(annotation)
    yield from _duplicates(ids, 'duplicate annotation id', file)
    people = [annotation for annotation in sound if annotation['image_id'] in images and is_person(annotation)]
    yield from check_coordinates(people, images, 'keypoints' in fields.keypoints, file)
    return sound


def size_of(image: dict) -> Size:
    """Width and height of an image's entry."""
    return image['width'], image['height']


def _duplicates(ids: List[int], kind: str, file: str) -> Iterator[Problem]:
    """Ids that several entries have."""
    for number, count in Counter(ids).items():
        if count > 1:
            yield Problem(kind, f'{file}: {number} occurs {count} times')


# ---------------------------------------------------------------- values of an annotation


def _check_values(annotation: dict, fields: CocoFields, size: Size, name: str) -> Check[bool]:
    """Whether the values of an annotation in an image of ``size`` are of the right kind and finite."""
    if annotation.get('iscrowd', 0) not in (0, 1):
        yield Problem('iscrowd out of range', f'{name}: iscrowd {truncate(annotation["iscrowd"])}')
        return False
    labeled = annotation.get('num_keypoints', 1)
    if not is_finite(labeled) or labeled < 0 or labeled != int(labeled):
        yield Problem('num_keypoints out of range', f'{name}: num_keypoints {truncate(labeled)}')
        return False
    box_area, sound = 0., True
    if 'bbox' in annotation:
        sound = yield from _check_box(annotation['bbox'], size, name)
        if sound:
            box_area = annotation['bbox'][2] * annotation['bbox'][3]
    # A negative or a huge area would make any prediction count as right.
    if 'area' in annotation:
        area, limit = annotation['area'], AREA_LIMIT * max(size[0] * size[1], box_area)
        is_share = is_finite(area) and 0 < area < 1 and box_area > 1 / SMALLEST_SHARE
        if not is_finite(area) or not 0 <= area <= limit or is_share:
            yield Problem('area out of range', f'{name}: area {truncate(area)}')
            sound = False
    for field, count in fields.keypoints.items():
        if field in annotation:
            sound &= yield from _check_keypoints(annotation, field, count, size, name)
    return sound


def _check_box(box: object, size: Size, name: str, detected: bool = False) -> Check[bool]:
    """Whether a box is x, y, width and height in px, finite and not far outside of an image of ``size``.

    A detected box may have more numbers, which nothing reads, and a negative size: it is left out of a test then.
    """
    fitting = isinstance(box, list) and (len(box) == 4 or detected and len(box) > 4) and are_finite(box[:4])
    if not fitting or not detected and min(box[2:]) < 0:
        yield Problem('box without a positive size', f'{name}: bbox {truncate(box)}')
        return False
    x, y, width, height = box[:4]
    if _is_far(x, y, size) or _is_far(x + width, y + height, size):
        yield Problem('coordinate far outside the image',
                      f'{name}: bbox {truncate(box)} in {size[0]} x {size[1]} px')
        return False
    return True


def _is_far(x: float, y: float, size: Size) -> bool:
    """Whether a point lies so far outside of the image that it must be a mistake."""
    reach = FAR * max(size)
    return not (-reach <= x <= size[0] + reach and -reach <= y <= size[1] + reach)


def _check_keypoints(annotation: dict, field: str, count: int, size: Size, name: str) -> Check[bool]:
    values = annotation[field]
    if values == [] and not is_person(annotation):
        return True
    if not isinstance(values, list) or len(values) != 3 * count:
        number = len(values) if isinstance(values, list) else truncate(values)
        yield Problem('wrong number of keypoints', f'{name}: {field} has {number} values, not {3 * count}')
        return False
    if are_finite(values):
        reach = FAR * max(size)
        if -reach <= min(values) and max(values) <= min(size) + reach:
            return True
    for index in range(count):
        x, y, visible = values[3 * index:3 * index + 3]
        where = f'{name}: {"keypoint" if field == "keypoints" else field} {index}'
        if not is_finite(visible):
            yield Problem('visibility out of range', f'{where} has {truncate(visible)}')
        elif not is_finite(x, y):
            yield Problem('keypoint that is not finite', f'{where} at {truncate((x, y))}')
        elif _is_far(x, y, size):
            yield Problem('coordinate far outside the image',
                          f'{where} at {truncate((x, y))} in {size[0]} x {size[1]} px')
        else:
            continue
        return False
    return True


# ---------------------------------------------------------------- coordinates of a whole file


def is_normalized(values: Sequence[float]) -> bool:
    """Whether coordinates must be shares of the image and not px: all of them are 0 to 1, and some of them within."""
    return len(values) > 0 and min(values) >= 0 and max(values) <= 1 and any(0 < value < 1 for value in values)


def is_xyxy(boxes: Sequence[Sequence[float]], sizes: Sequence[Size]) -> bool:
    """Whether boxes must be x1, y1, x2, y2 and not x, y, width, height.

    As two corners all of them lie in their images, and as x, y, width and height at least half of them reach far beyond
    these.

    Args:
        boxes: Four finite numbers each, in px.
        sizes: Width and height of each box's image in px.
    """
    beyond = 0
    for (left, top, right, bottom), (width, height) in zip(boxes, sizes):
        if not (0 <= left < right <= width + 1 and 0 <= top < bottom <= height + 1):
            return False
        beyond += left + right > BEYOND * width or top + bottom > BEYOND * height
    return 2 * beyond >= len(boxes) > 0


def check_coordinates(people: Sequence[dict], images: Dict[int, dict], has_keypoints: bool, file: str) -> Check[None]:
    """Check the unit and the form of the boxes and keypoints of all people of an annotation file.

    Args:
        people: Annotations that are sound one by one, of images in ``images``.
        has_keypoints: Whether the field ``keypoints`` of the annotations has been checked.
        file: What messages call the file.
    """
    boxed = [person for person in people if 'bbox' in person]
    boxes = [person['bbox'] for person in boxed]
    points: List[float] = []
    labeled, corners = 0, []
    for person in people if has_keypoints else ():
        values = person.get('keypoints', ())
        marked = [(x, y) for x, y, visible in zip(values[::3], values[1::3], values[2::3]) if visible]
        labeled += len(marked)
        if (0, 0) in marked:
            corners += [person['id']] * marked.count((0, 0))
        if not points or max(points) <= 1:
            points += [value for point in marked for value in point]
    if len(corners) > max(1, CORNERS * labeled):
        yield Problem('labeled keypoint at (0, 0)', f'{file}: {len(corners)} of {labeled} labeled keypoints, the first '
                      f'in annotation {corners[0]}')
    if is_normalized([value for box in boxes for value in box]):
        yield Problem('normalized coordinates', f'{file}: the numbers of all {len(boxes)} boxes are 0 to 1')
    elif len(points) >= 2 * FEWEST_KEYPOINTS and is_normalized(points):
        yield Problem('normalized coordinates', f'{file}: the coordinates of all keypoints are 0 to 1')
    else:
        yield from _check_form(boxes, [size_of(images[person['image_id']]) for person in boxed], file)


def _check_form(boxes: Sequence[Sequence[float]], sizes: Sequence[Size], file: str) -> Iterator[Problem]:
    if is_xyxy(boxes, sizes):
        yield Problem('boxes in xyxy', f'{file}: all {len(boxes)} boxes lie in their images as x1, y1, x2, y2, and '
                      'most reach beyond them as x, y, width, height')


# ---------------------------------------------------------------- detections and evaluation


def box_category(content: object) -> int:
    """The category of the boxes in a file of detections that belongs to an annotation file with this content.

    It is the one category that names keypoints, and :data:`PERSON` where none or several do.
    """
    entries = content.get('categories') if isinstance(content, dict) else None
    entries = entries if isinstance(entries, list) else []
    ids = [entry.get('id') for entry in entries if isinstance(entry, dict) and entry.get('keypoints')]
    return ids[0] if len(ids) == 1 and is_id(ids[0]) else PERSON


def check_detections(detections: object, images: Dict[int, dict], file: str,
                     wanted: int = PERSON) -> Check[List[Tuple[int, dict]]]:
    """The usable detections of the category ``wanted``, with their indices in the list.

    Those in unknown images are usable too.
    """
    if not isinstance(detections, list):
        yield Problem('unreadable file', f'{file}: not a list of detections')
        return []
    sound = []
    for index, detection in enumerate(detections):
        name = f'detection {index} of {file}'
        category = detection.get('category_id') if isinstance(detection, dict) else None
        needed = ('category_id', 'image_id', 'bbox') if category == wanted else ('category_id', )
        missing = [field for field in needed if not isinstance(detection, dict) or field not in detection]
        if missing:
            yield Problem('incomplete entry', f'{name}: no {", ".join(missing)}')
            continue
        wrong = [field for field in needed[:2] if not is_id(detection[field])]
        if wrong:
            yield Problem('id that is not an integer', f'{name}: {wrong[0]} {truncate(detection[wrong[0]])}')
            continue
        if category != wanted:  # the dataset skips it
            continue
        image, score = images.get(detection['image_id']), detection.get('score')
        size = size_of(image) if image else (LARGEST_SIDE, LARGEST_SIDE)
        if not is_finite(score):
            yield Problem('detection without a finite score', f'{name}: {truncate(score)}')
        elif (yield from _check_box(detection['bbox'], size, name, detected=True)):
            sound.append((index, detection))
    placed = [detection for _, detection in sound if detection['image_id'] in images]
    sizes = [size_of(images[detection['image_id']]) for detection in placed]
    yield from _check_form([detection['bbox'][:4] for detection in placed], sizes, file)
    return sound


def check_box_entries(entries: object, file: str) -> Check[List[dict]]:
    """The entries of a file of boxes to predict in, which may name images by ``file_name``, and need no score."""
    if not isinstance(entries, list):
        yield Problem('unreadable file', f'{file}: neither a COCO annotation file (images and annotations) nor a list '
                      'of detections')
        return []
    complete = yield from complete_entries(entries, ('bbox', ), file)
    for index, entry in complete:
        name = f'entry {index} of {file}'
        wrong = [field for field in ('image_id', 'category_id') if not isinstance(entry.get(field, 0), (int, str))]
        if wrong:
            yield Problem('id that is not an integer', f'{name}: {wrong[0]} {truncate(entry[wrong[0]])}')
        if not {'file_name', 'image_id'} & entry.keys():
            yield Problem('incomplete entry', f'{name}: neither file_name nor image_id')
        if not is_finite(entry.get('score', 1.)):
            yield Problem('detection without a finite score', f'{name}: score {truncate(entry["score"])}')
        if isinstance(entry['bbox'], list) and len(entry['bbox']) > 4:
            yield Problem('box without a positive size', f'{name}: more than four numbers, {truncate(entry["bbox"])}')
        yield from _check_box(entry['bbox'], (LARGEST_SIDE, LARGEST_SIDE), name, detected=True)
    return [entry for _, entry in complete]


def check_file_names(content: dict, file: str) -> Check[Dict[object, str]]:
    """The file names of images by id, which may be a name too."""
    names: Dict[object, str] = {}
    for image in (yield from check_entries(content, 'images', ('id', 'file_name'), 'image', file)):
        if not isinstance(image['id'], (int, str)):
            yield Problem('id that is not an integer', f'{file}: image id {truncate(image["id"])}')
        elif not is_file_name(image['file_name']):
            yield Problem('image without a name', f'image {image["id"]} of {file}: file_name '
                          f'{truncate(image["file_name"])}')
        elif names.setdefault(image['id'], image['file_name']) != image['file_name']:
            yield Problem('duplicate image id', f'{file}: images have the id {image["id"]} twice, for '
                          f'{names[image["id"]]} and {image["file_name"]}')
    return names


def check_evaluated(content: object, evaluation: Evaluation, file: str) -> Check[None]:
    """Check a file against which predictions will be evaluated, which mmpose reads when all of them are made."""
    fields = CocoFields({}, ('crowdIndex', ) if evaluation.crowd else ())
    coco = yield from check_coco(content, fields, file)
    if coco.categories is None:
        yield Problem('incomplete entry', f'{file}: no categories')
    yield from check_evaluated_annotations(coco, evaluation, file)


def check_evaluated_annotations(coco: CocoFile, evaluation: Evaluation, file: str) -> Iterator[Problem]:
    """Check what the evaluation reads, of crowds and unlabeled people too."""
    needed = ('bbox', 'keypoints', *(('area', ) if evaluation.use_area else ()),
              *(('num_keypoints', ) if evaluation.crowd else ()))
    for annotation in coco.annotations:
        if annotation['image_id'] not in coco.images:
            continue
        name = f'annotation {annotation["id"]} of {file}'
        missing = [field for field in needed if field not in annotation]
        if missing:
            without_area = '; without areas set use_area=False in the evaluator' if 'area' in missing else ''
            yield Problem('incomplete entry',
                          f'{name}: no {", ".join(missing)}, which the evaluation reads{without_area}')
            continue
        keypoints = annotation['keypoints']
        if not isinstance(keypoints, list) or len(keypoints) % 3:
            yield Problem('wrong number of keypoints', f'{name}: keypoints {truncate(keypoints)}')
        elif not are_finite(keypoints):
            yield Problem('keypoint that is not finite', f'{name}: {truncate(keypoints)}')
        elif (evaluation.use_area and annotation['area'] == 0 and any(keypoints[2::3])
              and not annotation.get('iscrowd')):
            yield Problem('area out of range', f'{name}: area 0, with which no prediction counts as right')
