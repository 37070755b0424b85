"""The predictions of tools/infer.py, as COCO results and as objects for a labeling tool."""
from pathlib import Path
from typing import Dict, List

from mmpose_mspn.new_dataset.coco_file import find_category, read_coco
from mmpose_mspn.new_dataset.converters.coco import Labels
from mmpose_mspn.new_dataset.converters.shapes import Instance, LabeledImage, Point
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE


def is_predictions(content: object) -> bool:
    """Whether the content of a JSON file is what tools/infer.py writes."""
    return isinstance(content, dict) and {'keypoint_names', 'skeleton', 'images'} <= set(content)


def coco_results(predictions: dict, ann_file: FilePath) -> List[dict]:
    """Results as COCO's evaluation reads them: ``image_id``, ``category_id``, ``bbox``, ``keypoints`` and ``score``.

    Args:
        predictions: Content of ``predictions.json``.
        ann_file: The annotation file that lists the images and the category.

    Raises:
        ValueError: The file lists an image not or twice, or has other keypoints.
    """
    content = read_coco('the annotation file', ann_file)
    category = find_category(content, ann_file)
    if list(category.keypoints) != list(predictions['keypoint_names']):
        raise ValueError(f'{ann_file} has other keypoints ({", ".join(category.keypoints)}) than were predicted '
                         f'({", ".join(predictions["keypoint_names"])}): take the file of the training')
    ids: Dict[str, List[object]] = {}
    for image in content['images']:
        ids.setdefault(Path(image['file_name']).name, []).append(image['id'])
    results = []
    for image in predictions['images']:
        found = ids.get(image['image'], [])
        if len(found) != 1:
            raise ValueError(f'{ann_file} lists the image {image["image"]} {len(found)} times: take a file that lists '
                             'each predicted image once')
        results += [
            dict(image_id=found[0], category_id=category.id, bbox=instance['bbox'], score=instance['score'],
                 keypoints=[value for keypoint in instance['keypoints'] for value in keypoint])
            for instance in image['instances']]
    return results


def predicted_images(predictions: dict, label: str, threshold: float) -> List[LabeledImage]:
    """Predicted objects, whose keypoints with a score below the threshold are not labeled.

    Args:
        predictions: Content of ``predictions.json``.
        label: Category of the objects.
        threshold: Lowest score of a labeled keypoint; see ``KEYPOINT_THRESHOLD`` in ``mmpose_mspn/apis/drawing.py``.
    """
    names = predictions['keypoint_names']
    return [
        LabeledImage(image['image'], image['width'], image['height'], [
            Instance(label, {
                name: Point(name, x, y, VISIBLE if score >= threshold else NOT_LABELED)
                for name, (x, y, score) in zip(names, instance['keypoints'])
            }, tuple(instance['bbox'])) for instance in image['instances']
        ]) for image in predictions['images']]


def predicted_labels(predictions: dict) -> Labels:
    """Names and skeleton of the predicted keypoints."""
    names = predictions['keypoint_names']
    return Labels(list(names), [(names[start], names[end]) for start, end in predictions['skeleton']])
