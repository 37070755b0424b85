"""From a labeling tool's annotations to COCO keypoints, and from predictions back."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmpose_mspn.data_check.coco import read_coco
from mmpose_mspn.new_dataset.coco_file import LISTS, find_category
from mmpose_mspn.new_dataset.converters.cvat import read_cvat, write_cvat
from mmpose_mspn.new_dataset.converters.label_studio import is_label_studio, read_label_studio
from mmpose_mspn.new_dataset.converters.labelme import is_labelme, labelme_files, read_labelme
from mmpose_mspn.new_dataset.converters.shapes import (
    DEFAULT_LABEL,
    Instance,
    LabeledImage,
    Labels,
    Point,
    coco_file,
)
from mmpose_mspn.utils.errors import DataError, UserError
from mmpose_mspn.utils.files import FilePath, read_json, write_atomically, write_json
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE

CVAT, LABEL_STUDIO, LABELME, PREDICTIONS = 'cvat', 'label-studio', 'labelme', 'predictions'
TARGETS = ('coco', 'coco-results', 'cvat')


class Converted(NamedTuple):
    """What was converted."""
    source: str
    images: int
    objects: int


def recognize_format(path: FilePath) -> str:
    """The format of a file or folder, by its content.

    Raises:
        FileNotFoundError: It does not exist.
        DataError: It is of no known format.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist: name a file or folder that does')
    if path.suffix.lower() == '.xml':
        return CVAT
    files = labelme_files(path)
    content = read_json('file', files[0]) if files else None
    for name, is_format in ((LABELME, is_labelme), (LABEL_STUDIO, is_label_studio), (PREDICTIONS, is_predictions)):
        if is_format(content) and (name == LABELME or not path.is_dir()):
            return name
    if path.is_dir():
        return LABELME
    raise DataError(f'{path} is neither the XML of "CVAT for images", nor JSON of Label Studio, labelme or '
                    'tools/infer.py')


def convert_annotations(source: FilePath, out: FilePath, to: str = 'coco', keypoints: Optional[Sequence[str]] = None,
                        ann_file: Optional[FilePath] = None, label: str = DEFAULT_LABEL,
                        threshold: float = 0.7, force: bool = False) -> Converted:
    """Convert a file.

    Args:
        source: The XML of CVAT for images, the JSON of Label Studio, a JSON or a folder of labelme, or
            ``predictions.json`` of tools/infer.py.
        out: File to write.
        to: ``'coco'``, a COCO file with keypoints; of predictions also ``'coco-results'`` and ``'cvat'``.
        keypoints: Names of the keypoints in their order, if not those of the file.
        ann_file: Annotation file with the ids of images and category, for ``'coco-results'``.
        label: Category of predicted objects.
        threshold: Lowest score of a predicted keypoint that counts as labeled.
        force: Whether to overwrite ``out``.

    Raises:
        FileExistsError: ``out`` exists and ``force`` is not set.
        FileNotFoundError: A file does not exist.
        DataError: A file is of another format, or the formats do not go together.
    """
    if Path(out).exists() and not force:
        raise FileExistsError(f'{out} exists: choose another name, or overwrite it with --force')
    kind = recognize_format(source)
    if kind == PREDICTIONS:
        if not threshold >= 0:
            raise UserError(f'threshold must be >= 0, got {threshold}')
        return _convert_predictions(source, out, to, ann_file, label, threshold)
    if to != 'coco':
        raise UserError(f'--to {to} is for predictions.json of tools/infer.py, and {source} is of {kind}')
    known = None
    try:
        if kind == CVAT:
            images, known = read_cvat(source)
        elif kind == LABEL_STUDIO:
            images = read_label_studio(read_json('file', source))
        else:
            images = read_labelme(source)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f'{source} is not a whole file of {kind} ({type(error).__name__}: {error}): export it again'
                         ) from error
    write_json(out, coco_file(images, known, keypoints))
    return Converted(kind, len(images), sum(len(image.instances) for image in images))


def _convert_predictions(source: FilePath, out: FilePath, to: str, ann_file: Optional[FilePath], label: str,
                         threshold: float) -> Converted:
    predictions = read_json('file', source)
    images = predicted_images(predictions, label, threshold)
    if to == 'coco-results':
        if ann_file is None:
            raise UserError('--to coco-results needs --ann-file, the annotation file with the ids of the images')
        write_json(out, coco_results(predictions, ann_file))
    elif to == 'cvat':
        write_atomically(out, write_cvat(images))
    else:
        write_json(out, coco_file(images, {label: predicted_labels(predictions)}))
    return Converted(PREDICTIONS, len(images), sum(len(image.instances) for image in images))


# ---------------------------------------------------------------- predictions of tools/infer.py


def is_predictions(content: object) -> bool:
    """Whether the content of a JSON file is what tools/infer.py writes."""
    return isinstance(content, dict) and {'keypoint_names', 'skeleton', 'images'} <= set(content)


def coco_results(predictions: dict, ann_file: FilePath) -> List[dict]:
    """Results as COCO's evaluation reads them: ``image_id``, ``category_id``, ``bbox``, ``keypoints`` and ``score``.

    Args:
        predictions: Content of ``predictions.json``.
        ann_file: The annotation file that lists the images and the category.

    Raises:
        DataError: The file lists an image not or twice, or has other keypoints.
    """
    content = read_coco('the annotation file', ann_file, LISTS)
    category = find_category(content, ann_file)
    if list(category.keypoints) != list(predictions['keypoint_names']):
        raise DataError(f'{ann_file} has other keypoints ({", ".join(category.keypoints)}) than were predicted '
                        f'({", ".join(predictions["keypoint_names"])}): take the file of the training')
    ids: Dict[str, List[object]] = {}
    for image in content['images']:
        ids.setdefault(Path(image['file_name']).name, []).append(image['id'])
    results = []
    for image in predictions['images']:
        image_ids = ids.get(image['image'], [])
        if len(image_ids) != 1:
            raise DataError(f'{ann_file} lists the image {image["image"]} {len(image_ids)} times: take a file that '
                            'lists each predicted image once')
        results += [
            dict(image_id=image_ids[0], category_id=category.id, bbox=instance['bbox'], score=instance['score'],
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
