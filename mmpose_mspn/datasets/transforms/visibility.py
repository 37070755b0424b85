"""Visibility 0/1/2, from the annotation that a sample holds, and through a conversion of its keypoints."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import KeypointConverter as MmposeKeypointConverter

from mmpose_mspn.registry import TRANSFORMS
from mmpose_mspn.utils.errors import ConfigError, DataError, UserError
from mmpose_mspn.utils.numbers import CODES, VISIBLE, is_integer

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


def check_mapping(name: str, num_keypoints: object, mapping: object, sources: Optional[int] = None) -> None:
    """Check the arguments of :class:`KeypointConverter`.

    Args:
        name: What messages call the step.
        num_keypoints: Its argument.
        mapping: Its argument.
        sources: Number of keypoints of the source, if it is known.

    Raises:
        ConfigError: ``num_keypoints`` is not a number >= 1, or an index of ``mapping`` names no keypoint, or a target
            is named twice.
    """
    if not is_integer(num_keypoints) or num_keypoints < 1:
        raise ConfigError(f'{name}: num_keypoints must be an integer >= 1, got {num_keypoints!r}')
    targets = set()
    for pair in mapping if isinstance(mapping, (list, tuple)) else [mapping]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ConfigError(f'{name}: mapping must list pairs (source index, target index), got {pair!r}')
        source, target = pair
        indices = source if isinstance(source, (list, tuple)) else (source, source)
        if len(indices) != 2 or not all(_is_index(index, sources) for index in indices):
            known = 'of the source' if sources is None else f'of the source, which has {sources}'
            raise ConfigError(f'{name}: {source!r} in the pair {pair!r} of mapping must be the index of a keypoint '
                              f'{known}, or two of them')
        if not _is_index(target, num_keypoints) or target in targets:
            raise ConfigError(f'{name}: {target!r} in the pair {pair!r} of mapping must be the index of a keypoint of '
                              f'the result, which has num_keypoints={num_keypoints}, and occur once')
        targets.add(target)


def _is_index(value: object, count: Optional[int]) -> bool:
    return is_integer(value) and value >= 0 and (count is None or value < count)


@TRANSFORMS.register_module()
class KeypointConverter(MmposeKeypointConverter):
    """mmpose's ``KeypointConverter``, with the visibility of the result as (N, K) in 0/1/2.

    The stock one appends weights to the visibility, which the official steps that follow do not read. It also
    multiplies the visibilities of a pair, so that 2 and 2 give 4; here a pair is as visible as its less visible
    keypoint. A keypoint that the source does not have is not labeled (0).

    Required and modified keys: ``keypoints`` (N, K', 2) to (N, K, 2), ``keypoints_visible`` (N, K') to (N, K).
    Modified, where the sample has them, to describe the K keypoints: ``flip_indices``, ``flip_pairs``,
    ``upper_body_ids``, ``lower_body_ids``, ``dataset_keypoint_weights``. A ``CombinedDataset`` replaces these by those
    of its own metainfo.

    Args:
        num_keypoints: K, the number of keypoints after the conversion.
        mapping: Pairs (source index, target index). The source may itself be a pair of indices: the target is the point
            halfway between them. The target may be any of the K keypoints, also beyond those of the source.

    Raises:
        ConfigError: An index names no keypoint, see :func:`check_mapping`.
    """

    def __init__(self, num_keypoints: int, mapping: Sequence[Tuple[Union[int, Tuple[int, int]], int]]) -> None:
        check_mapping('KeypointConverter', num_keypoints, mapping)
        super().__init__(num_keypoints, list(mapping))
        self.source_index2 = self.source_index2 if self.interpolation else self.source_index

    def transform(self, results: dict) -> dict:
        points, visible = results['keypoints'], results['keypoints_visible']
        check_mapping('KeypointConverter', self.num_keypoints, self.mapping, points.shape[1])
        first, second, target = self.source_index, self.source_index2, self.target_index
        keypoints = np.zeros((len(points), self.num_keypoints, 2), np.float32)
        codes = np.zeros(keypoints.shape[:2], np.float32)
        keypoints[:, target] = 0.5 * (points[:, first] + points[:, second])
        codes[:, target] = np.minimum(visible[:, first], visible[:, second])
        results.update(keypoints=keypoints, keypoints_visible=codes)
        self._describe(results)
        return results

    def _describe(self, results: dict) -> None:
        """Convert what the sample says of its keypoints."""
        sources = {target: {first, second} for first, second, target in zip(
            self.source_index, self.source_index2, self.target_index)}
        if results.get('flip_indices') is not None:
            flips = results['flip_indices']
            targets = {frozenset(pair): target for target, pair in sources.items()}
            mirrored = {target: targets.get(frozenset(flips[index] for index in pair), target)
                        for target, pair in sources.items()}
            results['flip_indices'] = [mirrored.get(target, target) for target in range(self.num_keypoints)]
            results['flip_pairs'] = [pair for pair in enumerate(results['flip_indices']) if pair[0] < pair[1]]
        for name in ('upper_body_ids', 'lower_body_ids'):
            if name in results:
                ids = set(results[name])
                results[name] = [target for target in sorted(sources) if sources[target] <= ids]
        if 'dataset_keypoint_weights' in results:
            weights = np.ones(self.num_keypoints, np.float32)
            for target, pair in sources.items():
                weights[target] = np.mean([results['dataset_keypoint_weights'][index] for index in pair])
            results['dataset_keypoint_weights'] = weights
