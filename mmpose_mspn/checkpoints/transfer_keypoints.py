"""Weights of a pose estimator with the predictors of another keypoint set."""
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmpose_mspn.utils.errors import CheckpointError, ConfigError

from .convert import convert, recognize, unpack

CARRIED, MAPPED, NEW = 'carried', 'mapped', 'new'
COCO_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
    'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
    'right_ankle')
MPII_NAMES = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'pelvis', 'thorax', 'upper_neck',
    'head_top', 'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist')
USUAL_NAMES = {len(names): names for names in (COCO_NAMES, MPII_NAMES)}
"""By K: the keypoints of a checkpoint that does not name its own, as published ones do not."""
_LAST_LAYER = re.compile(r'head\.predictors\.\d+\.\d+\.1\.')


class Origin(NamedTuple):
    """Where the weights of a keypoint come from.

    Attributes:
        name: The keypoint.
        how: ``'carried'`` (from the keypoint of the same name), ``'mapped'`` (from the one that a map names) or
            ``'new'`` (the mean of all).
        source: The keypoint of the checkpoint, or ``None`` for a new one.
    """
    name: str
    how: str
    source: Optional[str]


def source_names(checkpoint: Mapping, names: Optional[Sequence[str]] = None) -> Tuple[str, ...]:
    """Names of the K keypoints that a checkpoint predicts.

    They are ``names``, or else the checkpoint's own (``meta.dataset_meta``), or else COCO's if K = 17 and MPII's if
    K = 16.

    Args:
        checkpoint: A checkpoint, or weights in any layout.
        names: The names in their order.

    Raises:
        CheckpointError: The layout is not recognized; the names are not K; or no names are known.
    """
    count = number_of_keypoints(checkpoint)
    if names is None:
        names = own_names(checkpoint) or USUAL_NAMES.get(count)
    if names is None:
        raise CheckpointError(f'the checkpoint predicts {count} keypoints and does not name them: give their names in '
                              'order (--source-names of tools/new_dataset.py, source_names of TransferKeypointsHook)')
    if len(names) != count:
        raise CheckpointError(f'the checkpoint predicts {count} keypoints, so it needs {count} names, got '
                              f'{len(names)}: {", ".join(names)}')
    return tuple(names)


def own_names(checkpoint: Mapping) -> Optional[Tuple[str, ...]]:
    """The names of the keypoints that a checkpoint holds, or ``None`` if it holds none for all that it predicts."""
    by_index = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('keypoint_id2name') or {}
    names = tuple(by_index[index] for index in sorted(by_index))
    return names if len(names) == number_of_keypoints(checkpoint) else None


def number_of_keypoints(checkpoint: Mapping) -> int:
    """K, the number of keypoints that a checkpoint in any layout predicts.

    Raises:
        CheckpointError: The layout is not recognized, or there are no predictors.
    """
    for key, value in _in_our_layout(checkpoint).items():
        if _LAST_LAYER.match(key) and isinstance(value, Tensor) and value.ndim == 4:
            return len(value)
    raise CheckpointError('the checkpoint has no predictors of heatmaps, whose keypoints could be carried over')


def transfer_keypoints(checkpoint: Mapping, names: Sequence[str], mapping: Optional[Mapping[str, str]] = None,
          checkpoint_names: Optional[Sequence[str]] = None) -> Tuple[Dict[str, Tensor], List[Origin]]:
    """Give the weights of a pose estimator the predictors of another keypoint set.

    In every predictor the rows of the last convolution and of its norm go with their keypoint. A keypoint that the
    checkpoint does not have gets the mean of all rows, so that its map has their scale and starts where keypoints are.
    All other weights stay as they are.

    Args:
        checkpoint: A checkpoint, or weights in any layout.
        names: The K keypoints to predict.
        mapping: By keypoint of ``names``: the keypoint of the checkpoint that it starts from, if not the one of the
            same name.
        checkpoint_names: Names of the checkpoint's keypoints, see :func:`source_names`.

    Returns:
        Weights in this package's layout, and the origin of each keypoint.

    Raises:
        CheckpointError: The layout is not recognized, the checkpoint's keypoints are unknown, or the predictors do not
            end in a plain convolution.
        ConfigError: ``mapping`` names keypoints that do not exist.
    """
    weights = _in_our_layout(checkpoint)
    sources = source_names(checkpoint, checkpoint_names)
    origins = find_origins(names, sources, mapping)
    rows = [None if origin.source is None else sources.index(origin.source) for origin in origins]
    changed = {key: value for key, value in weights.items() if _LAST_LAYER.match(key) and value.ndim}
    for key, value in changed.items():
        if len(value) != len(sources):
            raise CheckpointError(f'{key} has {len(value)} rows for {len(sources)} keypoints: keypoints can be carried '
                                  'over where predictors end in a plain convolution only')
    return {key: _select(value, rows) if key in changed else value for key, value in weights.items()}, origins


def find_origins(names: Sequence[str], sources: Sequence[str],
                 mapping: Optional[Mapping[str, str]] = None) -> List[Origin]:
    """The origin of each of ``names`` among the keypoints ``sources`` of a checkpoint.

    Raises:
        ConfigError: ``mapping`` names keypoints that do not exist.
    """
    mapping = mapping or {}
    for owner, wrong, known in (('dataset', set(mapping) - set(names), names),
                                ('checkpoint', set(mapping.values()) - set(sources), sources)):
        if wrong:
            raise ConfigError(f'the map names {", ".join(sorted(wrong))}, not among the keypoints of the {owner}: '
                              f'those are {", ".join(known)}')
    origins = []
    for name in names:
        if name in mapping:
            origins.append(Origin(name, MAPPED, mapping[name]))
        elif name in sources:
            origins.append(Origin(name, CARRIED, name))
        else:
            origins.append(Origin(name, NEW, None))
    return origins


def origins_table(origins: Sequence[Origin]) -> str:
    """A line for each keypoint: its name, how it starts and from what."""
    width = max(len(origin.name) for origin in origins)
    return '\n'.join(f'{origin.name:<{width}}  {origin.how:<7}  {origin.source or "mean of all keypoints"}'
                     for origin in origins)


def _in_our_layout(checkpoint: Mapping) -> Dict[str, Tensor]:
    weights = unpack(checkpoint)
    return weights if recognize(weights) == 'mmpose_mspn' else convert(weights)


def _select(value: Tensor, rows: Sequence[Optional[int]]) -> Tensor:
    """The rows of ``value``, their mean where the row is ``None``."""
    mean = value.double().mean(0).to(value.dtype)
    return torch.stack([mean if row is None else value[row] for row in rows])
