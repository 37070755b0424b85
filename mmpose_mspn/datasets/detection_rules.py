"""What a file of detected boxes must hold so that a test can use it."""
from typing import Dict, List, Tuple

from mmpose_mspn.datasets.coco_rules import check_box_numbers
from mmpose_mspn.datasets.coordinate_rules import check_corners
from mmpose_mspn.datasets.problems import LARGEST_SIDE, Add, shown
from mmpose_mspn.utils.numbers import is_finite, is_id

PERSON = 1
"""The category of the boxes in a file of detections, unless the annotation file says otherwise."""


def box_category(content: object) -> int:
    """The category of the boxes in a file of detections that belongs to an annotation file with this content.

    It is the one category that names keypoints, and :data:`PERSON` where none or several do.
    """
    entries = content.get('categories') if isinstance(content, dict) else None
    entries = entries if isinstance(entries, list) else []
    ids = [entry.get('id') for entry in entries if isinstance(entry, dict) and entry.get('keypoints')]
    return ids[0] if len(ids) == 1 and is_id(ids[0]) else PERSON


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
    placed = [detection for _, detection in sound if detection['image_id'] in images]
    sizes = [(images[one['image_id']]['width'], images[one['image_id']]['height']) for one in placed]
    check_corners([detection['bbox'][:4] for detection in placed], sizes, file, add)
    return sound
