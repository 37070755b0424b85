"""What a file in COCO's format must hold so that predictions can be evaluated against it.

It is checked before the run: mmpose's metrics read the file when all predictions are made.
"""
from typing import Dict, NamedTuple, Sequence

from mmpose_mspn.datasets.coco_rules import CocoFields, check_annotations, check_categories, check_images
from mmpose_mspn.datasets.problems import Add, shown
from mmpose_mspn.utils.numbers import are_finite


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
