"""The drawn people as someone's own keypoints: "robots" with fewer keypoints, as a labeling tool leaves their file."""
from pathlib import Path
from typing import Dict, Optional, Sequence

from mmpose_mspn.data_check.coco import read_coco
from mmpose_mspn.synthetic_people.body import KEYPOINT_NAMES
from mmpose_mspn.utils.errors import UserError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.outputs import check_outputs, write_json_output

KIND = 'make_synthetic --robots'
CATEGORY_ID, CATEGORY = 7, 'robot'
FOUR = ('left_shoulder', 'right_shoulder', 'left_ankle', 'right_ankle')
EIGHT = ('left_shoulder', 'right_shoulder', 'left_wrist', 'right_wrist', 'left_knee', 'right_knee', 'left_ankle',
         'right_ankle')
"""Examples of keypoints."""
LEFT_OUT = ('area', 'iscrowd', 'num_keypoints', 'segmentation')
"""Fields that labeling tools often leave out."""


def write_robots(source: FilePath, target: FilePath, keypoints: Sequence[str], images: Optional[int] = None,
                 renamed: Optional[Dict[str, str]] = None) -> Path:
    """Write an annotation file of robots, without the fields of :data:`LEFT_OUT`.

    Args:
        source: Annotation file of the drawn people.
        keypoints: Those of the 17 that stay, in their new order.
        images: Number of images, the first ones; ``None``: all.
        renamed: Other names for some of the keypoints.

    Returns:
        ``target``.

    Raises:
        UserError: The drawn people lack one of ``keypoints``, or it is named twice.
    """
    check_keypoints(keypoints)
    content = read_coco('annotation file', source)
    indices = [KEYPOINT_NAMES.index(name) for name in keypoints]
    kept = content['images'][:images]
    ids = {image['id'] for image in kept}
    links = [[1 + indices.index(end - 1) for end in link] for link in content['categories'][0]['skeleton']
             if all(end - 1 in indices for end in link)]
    category = dict(id=CATEGORY_ID, name=CATEGORY, keypoints=[(renamed or {}).get(name, name) for name in keypoints],
                    skeleton=links)
    annotations = [_robot(entry, indices) for entry in content['annotations'] if entry['image_id'] in ids]
    check_outputs('out', [target], KIND)
    write_json_output(target, dict(images=kept, annotations=annotations, categories=[category]), KIND)
    return Path(target)


def check_keypoints(keypoints: Sequence[str]) -> None:
    """Refuse keypoints that the drawn people lack or that are named twice.

    Raises:
        UserError: There are some, or there are no keypoints.
    """
    wrong = [name for name in keypoints if name not in KEYPOINT_NAMES or list(keypoints).count(name) > 1]
    if wrong or not keypoints:
        raise UserError(f'the keypoints of robots must be different ones of {", ".join(KEYPOINT_NAMES)}, got '
                        f'{", ".join(wrong) or "none"}')


def _robot(person: dict, indices: Sequence[int]) -> dict:
    values = person['keypoints']
    robot = dict(person, category_id=CATEGORY_ID,
                 keypoints=[value for index in indices for value in values[3 * index:3 * index + 3]])
    return {key: value for key, value in robot.items() if key not in LEFT_OUT}
