"""From a labeling tool's annotations to COCO keypoints, and from predictions back."""
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

from mmpose_mspn.new_dataset.converters.coco import coco_file
from mmpose_mspn.new_dataset.converters.cvat import read_cvat, write_cvat
from mmpose_mspn.new_dataset.converters.label_studio import is_label_studio, read_label_studio
from mmpose_mspn.new_dataset.converters.labelme import is_labelme, labelme_files, read_labelme
from mmpose_mspn.new_dataset.converters.predictions import (
    coco_results,
    is_predictions,
    predicted_images,
    predicted_labels,
)
from mmpose_mspn.new_dataset.converters.shapes import DEFAULT_LABEL
from mmpose_mspn.utils.files import FilePath, read_json, write_atomically, write_json

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
        ValueError: It is of no known format.
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
    raise ValueError(f'{path} is neither the XML of "CVAT for images", nor JSON of Label Studio, labelme or '
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
        ValueError: A file is of another format, or the formats do not go together.
    """
    if Path(out).exists() and not force:
        raise FileExistsError(f'{out} exists: choose another name, or overwrite it with --force')
    kind = recognize_format(source)
    if kind == PREDICTIONS:
        if not threshold >= 0:
            raise ValueError(f'threshold must be >= 0, got {threshold}')
        return _convert_predictions(source, out, to, ann_file, label, threshold)
    if to != 'coco':
        raise ValueError(f'--to {to} is for predictions.json of tools/infer.py, and {source} is of {kind}')
    known = None
    try:
        if kind == CVAT:
            images, known = read_cvat(source)
        elif kind == LABEL_STUDIO:
            images = read_label_studio(read_json('file', source))
        else:
            images = read_labelme(source)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f'{source} is not a whole file of {kind} ({type(error).__name__}: {error}): export it again'
                         ) from error
    write_json(out, coco_file(images, known, keypoints))
    return Converted(kind, len(images), sum(len(image.instances) for image in images))


def _convert_predictions(source: FilePath, out: FilePath, to: str, ann_file: Optional[FilePath], label: str,
                         threshold: float) -> Converted:
    predictions = read_json('file', source)
    images = predicted_images(predictions, label, threshold)
    if to == 'coco-results':
        if ann_file is None:
            raise ValueError('--to coco-results needs --ann-file, the annotation file with the ids of the images')
        write_json(out, coco_results(predictions, ann_file))
    elif to == 'cvat':
        write_atomically(out, write_cvat(images))
    else:
        write_json(out, coco_file(images, {label: predicted_labels(predictions)}))
    return Converted(PREDICTIONS, len(images), sum(len(image.instances) for image in images))
