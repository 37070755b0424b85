"""Sources of person boxes: a detector of mmdet, or the whole image; those of a COCO file lie in ``box_files.py``.

Each source is called with a :class:`~mmpose_mspn.apis.inputs.Frame` and returns boxes (N, 4), x, y, width, height in
image px, and scores (N,), both float64.
"""
from pathlib import Path
from typing import Tuple, Union

import numpy as np
from mmengine.registry import DefaultScope

from .box_files import PERSON, Boxes, first_few
from .inputs import Frame
from .loading import check_file, check_weights, detector_device
from .pose_inputs import outside


def whole_image(frame: Frame) -> Boxes:
    """One box that covers the image, with score 1."""
    height, width = frame.image.shape[:2]
    return np.array([[0., 0., width, height]]), np.ones(1)


class DetectorBoxes:
    """Person boxes found by a detector of mmdet.

    Args:
        config: The detector's config file.
        checkpoint: The detector's weights.
        device: Device on which the detector runs, if mmcv's operators are built for it (see
            :func:`~mmpose_mspn.apis.loading.detector_device`).
        name: Class whose boxes are used; of a detector with a single class, that one.

    Raises:
        ImportError: mmdet is not installed.
        FileNotFoundError: A file is missing.
        ValueError: The checkpoint belongs to another config, or the detector has several classes and none of that name.
    """

    def __init__(self, config: Union[str, Path], checkpoint: Union[str, Path], device: str, name: str = PERSON) -> None:
        try:
            from mmdet.apis import inference_detector, init_detector
        except ImportError as error:
            raise ImportError(f'det_config needs mmdet ({error}): pip install "mmdet>=3.0,<3.4"') from error
        check_file('det_config', config)
        check_file('det_checkpoint', checkpoint)
        self._infer = inference_detector
        self._model = init_detector(str(config), str(checkpoint), device=detector_device(device))
        check_weights(self._model, checkpoint)
        self._scope = self._model.cfg.get('default_scope', 'mmdet')
        classes = list(self._model.dataset_meta['classes'])
        if name not in classes and len(classes) > 1:
            raise ValueError(f'the detector of {config} has no class {name!r}, only {first_few(classes)}: take one '
                             'that has it, or that has a single class')
        self._label = classes.index(name) if name in classes else 0

    def __call__(self, frame: Frame) -> Boxes:
        # mmdet builds the pipeline at each call, and mmpose has other classes of the same names.
        with DefaultScope.overwrite_default_scope(self._scope):
            found = self._infer(self._model, frame.image).pred_instances
        found = found[found.labels == self._label]
        boxes = found.bboxes.cpu().numpy().astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return boxes, found.scores.cpu().numpy().astype(np.float64)


def select_boxes(boxes: np.ndarray, scores: np.ndarray, min_score: float,
                 shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray, int]:
    """Keep the boxes with a positive size, a part inside of the image and a score of at least ``min_score``.

    Args:
        boxes: (N, 4), x, y, width, height in image px.
        scores: (N,).
        min_score: Lowest score of a box that is kept.
        shape: Shape of the image.

    Returns:
        The kept boxes (M, 4), their scores (M,), and the number of boxes without a positive size or outside of the
        image.
    """
    shows = (boxes[:, 2:] > 0).all(1) & ~outside(boxes, shape)
    kept = shows & (scores >= min_score)
    return boxes[kept], scores[kept], int((~shows).sum())
