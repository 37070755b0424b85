"""The metainfo of a dataset, as mmpose's configs hold it: names, pairs, skeleton, colors and sigmas.

Keypoints that have COCO's names have COCO's sigmas, by which OKS and so COCO's AP measure distances, and COCO's half of
the body.
"""
import warnings
from functools import lru_cache
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.names import LEFT, RIGHT, Pair, Words, words_of
from mmpose_mspn.utils.errors import UserError

DEFAULT_SIGMA = 0.05
"""Sigma of a keypoint that COCO does not have. With it an OKS of 0.5 is a distance of 0.118 times the root of the
object's area, about what PCK@0.1 asks for. COCO's own are 0.025 (eyes) to 0.107 (hips)."""
UPPER, LOWER = 'upper', 'lower'
HIP = 'hip'
COLORS = {LEFT: [0, 255, 0], RIGHT: [255, 128, 0], None: [51, 153, 255]}
"""RGB of the keypoints and links of a side, as in mmpose's COCO; ``None``: of neither side."""


class CocoKeypoint(NamedTuple):
    """A keypoint of COCO."""
    name: str
    sigma: float
    half: str  # of the body in mmpose's metainfo


@lru_cache
def coco_keypoints() -> Dict[Words, CocoKeypoint]:
    """COCO's keypoints as mmpose's metainfo has them, by the words of their names."""
    with warnings.catch_warnings():  # that the file is taken from mmpose's package
        warnings.simplefilter('ignore')
        meta = parse_pose_metainfo(CocoDataset.METAINFO)
    return {words_of(name): CocoKeypoint(name, round(float(meta['sigmas'][index]), 6),
                                         UPPER if index in meta['upper_body_ids'] else LOWER)
            for index, name in meta['keypoint_id2name'].items()}


def of_coco(name: str) -> Optional[CocoKeypoint]:
    """COCO's keypoint of that name, whatever the spelling (``L_Eye`` is ``left_eye``), or ``None``."""
    return coco_keypoints().get(words_of(name))


def official_upper_ids(names: Sequence[str]) -> Optional[Tuple[int, ...]]:
    """Indices of the upper keypoints for half-body crops; ``None`` unless the half of every keypoint is known.

    The official protocol counts the hips to the upper half (docs/protocol.md, "Training protocol"), mmpose's metainfo
    to the lower one.
    """
    known = [of_coco(name) for name in names]
    if not all(known):
        return None
    return tuple(index for index, keypoint in enumerate(known)
                 if keypoint.half == UPPER or HIP in words_of(keypoint.name))


class Sigmas(NamedTuple):
    """A sigma for each keypoint, and where they come from.

    Attributes:
        values: K sigmas.
        assumed: Names of the keypoints whose sigma is ``default``, because nobody gave one and COCO has none.
        default: That sigma.
    """
    values: Tuple[float, ...]
    assumed: Tuple[str, ...]
    default: float


def choose_sigmas(names: Sequence[str], items: Optional[Sequence[str]] = None) -> Sigmas:
    """COCO's sigmas for the names that COCO has, a default for the others.

    Args:
        items: What the user says: one number, the default; K numbers, all sigmas; or ``name=number`` for some.

    Raises:
        UserError: ``items`` is none of these.
    """
    numbers, by_name = _parse_sigmas(items or (), names)
    if len(numbers) == len(names):
        return Sigmas(tuple(by_name.get(name, number) for name, number in zip(names, numbers)), (), DEFAULT_SIGMA)
    default = numbers[0] if numbers else DEFAULT_SIGMA
    values, assumed = [], []
    for name in names:
        coco = of_coco(name)
        if name in by_name:
            values.append(by_name[name])
        elif coco is not None:
            values.append(coco.sigma)
        else:
            values.append(default)
            assumed.append(name)
    return Sigmas(tuple(values), tuple(assumed), default)


def _parse_sigmas(items: Sequence[str], names: Sequence[str]) -> Tuple[List[float], Dict[str, float]]:
    numbers, by_name = [], {}
    for item in items:
        name, separator, number = str(item).rpartition('=')
        if separator and name not in names:
            raise UserError(f'--sigmas {item} names no keypoint of this dataset: they are {", ".join(names)}')
        try:
            value = float(number)
        except ValueError:
            value = float('nan')
        if not 0 < value < 1:
            raise UserError(f'--sigmas must be numbers between 0 and 1, got {item}')
        if separator:
            by_name[name] = value
        else:
            numbers.append(value)
    if len(numbers) not in (0, 1, len(names)):
        raise UserError(f'--sigmas takes one number for all keypoints that COCO does not have, {len(names)} numbers '
                        f'for all keypoints, or NAME=NUMBER, got {len(numbers)} numbers')
    return numbers, by_name


def build_metainfo(category: Category, pairs: Sequence[Pair], sigmas: Sequence[float]) -> dict:
    """``dataset_info`` as ``mmpose.datasets.datasets.utils.parse_pose_metainfo`` reads it.

    Args:
        pairs: Pairs of names that a horizontal flip swaps.
    """
    swap = {name: counterpart for pair in pairs for name, counterpart in (pair, pair[::-1])}
    names = category.keypoints
    return dict(
        dataset_name=category.name,
        keypoint_info={
            index: dict(name=name, id=index, color=COLORS[_side(name)], type=getattr(of_coco(name), 'half', ''),
                        swap=swap.get(name, ''))
            for index, name in enumerate(names)
        },
        skeleton_info={
            index: dict(link=(names[start], names[end]), id=index,
                        color=COLORS[_side(names[start]) if _side(names[start]) == _side(names[end]) else None])
            for index, (start, end) in enumerate(category.skeleton)
        },
        joint_weights=[1.] * len(names),
        sigmas=list(sigmas))


def _side(name: str) -> Optional[str]:
    sides = {word for word in words_of(name) if word in (LEFT, RIGHT)}
    return sides.pop() if len(sides) == 1 else None


def metainfo_text(metainfo: dict) -> str:
    """The text of a config file that holds ``metainfo`` as ``dataset_info``, an entry per line."""
    lines = ['dataset_info = dict(', f'    dataset_name={metainfo["dataset_name"]!r},']
    for key in ('keypoint_info', 'skeleton_info'):
        lines += [f'    {key}={{', *(f'        {index}: {_call(entry)},' for index, entry in metainfo[key].items()),
                  '    },']
    lines += [f'    {key}={metainfo[key]!r},' for key in ('joint_weights', 'sigmas')]
    return '\n'.join([*lines, ')', ''])


def _call(entry: Dict[str, object]) -> str:
    return f'dict({", ".join(f"{key}={value!r}" for key, value in entry.items())})'
