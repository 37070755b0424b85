"""Visibility 0/1/2, from the annotation that a sample holds, and through a conversion of its keypoints."""
from typing import Dict, List

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import KeypointConverter as MmposeKeypointConverter

from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.errors import ConfigError, DataError, UserError
from mmpose_mspn.utils.numbers import CODES, VISIBLE

WHOLE_BODY_PARTS = ('foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
"""Fields in which COCO-WholeBody annotates the keypoints after the body's, in the order of its 133 keypoints."""

_CODES = frozenset(CODES)


@TRANSFORMS.register_module()
class LoadVisibility(BaseTransform):
    """Give a sample the visibility and the box that were annotated.

    mmpose's COCO-style datasets clip visibility to 0/1 and boxes to the image, but the official protocol needs
    visibility 0 (not labeled), 1 (occluded) or 2 (visible) and the box as annotated. Both are still in
    ``raw_ann_info``. The step works for any keypoint set, and applying it twice changes nothing.

    Place it right after ``LoadImage``, before any step that flips, converts or crops: the sample's keypoints must still
    be the annotated ones. Steps before it see mmpose's box and visibility, so for mmpose's own crops it is placed
    between ``GetBBoxCenterScale`` and ``RandomFlip``. The COCO-style datasets of this package run it on every sample
    before their pipeline, unless the pipeline names it.

    A sample passes unchanged if it has no annotation (the box of a detector, an image without people) or if its
    annotation has no ``keypoints`` (``mmpose_mspn.MpiiDataset``).

    If the sample has more keypoints than the field ``keypoints``, those of COCO-WholeBody's feet, face and hands
    follow. Some of their visibilities are fractions, which mark a reliable keypoint according to the notes of that
    dataset: they count as visible.

    Required keys: ``keypoints`` (N, K, 2) image px; ``raw_ann_info``, the annotation in COCO's format or a list of N,
    may be absent. Modified: ``keypoints_visible`` (N, K); ``bbox`` (N, 4) xyxy in image px, if annotated.

    Raises:
        DataError: A visibility is not 0, 1 or 2. The annotation is named by its id.
        ConfigError: The keypoints are not the annotated ones.
    """

    def transform(self, results: Dict) -> Dict:
        annotations = results.get('raw_ann_info') or []
        annotations = [annotations] if isinstance(annotations, dict) else annotations
        if not annotations or not all('keypoints' in annotation for annotation in annotations):
            return results
        visible = []
        for annotation, keypoints in zip(annotations, results['keypoints']):
            try:
                visible.append(_visibility(annotation, keypoints))
            except UserError as error:
                name = f'annotation {annotation["id"]} of image {results.get("img_path")}'
                raise type(error)(f'{name}: {error}') from error
        results['keypoints_visible'] = np.array(visible, np.float32)
        if 'bbox' in results and all('bbox' in annotation for annotation in annotations):
            corners = [(x, y, x + w, y + h) for x, y, w, h, *_ in (annotation['bbox'] for annotation in annotations)]
            results['bbox'] = np.array(corners, np.float32)
        return results


def _visibility(annotation: dict, keypoints: np.ndarray) -> List[float]:
    """Visibility 0/1/2 of the person whose ``keypoints`` (K, 2) are in the sample."""
    annotated = list(annotation['keypoints'])
    visible = annotated[2::3]
    if not _CODES.issuperset(visible):
        raise DataError(f'visibility must be 0, 1 or 2, got {sorted({float(code) for code in visible} - _CODES)}')
    if 3 * len(keypoints) > len(annotated) and all(part in annotation for part in WHOLE_BODY_PARTS):
        for part in WHOLE_BODY_PARTS:
            annotated += annotation[part]
            visible += [_code(value) for value in annotation[part][2::3]]
    positions = np.array(annotated, np.float32).reshape(-1, 3)[:, :2]
    if not np.array_equal(positions, keypoints.astype(np.float32), equal_nan=True):
        raise ConfigError(f'the {len(keypoints)} keypoints of the sample are not the {len(visible)} annotated ones: '
                          'place LoadVisibility right after LoadImage, before any step that flips, converts or crops')
    return visible


def _code(value: float) -> float:
    """The code of a visibility of feet, face and hands, which may be a fraction."""
    if not value >= 0:  # also refuses NaN
        raise DataError(f'visibility must be >= 0, got {float(value)}')
    return value if value in _CODES else VISIBLE


@TRANSFORMS.register_module()
class KeypointConverter(MmposeKeypointConverter):
    """mmpose's ``KeypointConverter``, with the visibility of the result as (N, K) in 0/1/2.

    The stock one appends weights to the visibility, which the official steps that follow do not read. It also
    multiplies the visibilities of a pair, so that 2 and 2 give 4; here a pair is as visible as its less visible
    keypoint. A keypoint that the source does not have is not labeled (0).

    Required and modified keys: ``keypoints`` (N, K', 2) to (N, K, 2), ``keypoints_visible`` (N, K') to (N, K).

    Args:
        num_keypoints: K, the number of keypoints after the conversion.
        mapping: Pairs (source index, target index). The source may itself be a pair of indices: the target is the point
            halfway between them.
    """

    def transform(self, results: dict) -> dict:
        source = results['keypoints_visible']
        results = super().transform(results)
        visible = np.zeros(results['keypoints'].shape[:2], np.float32)
        seconds = self.source_index2 if self.interpolation else self.source_index
        visible[:, self.target_index] = np.minimum(source[:, self.source_index], source[:, seconds])
        results['keypoints'] = results['keypoints'].astype(np.float32)
        results['keypoints_visible'] = visible
        return results
