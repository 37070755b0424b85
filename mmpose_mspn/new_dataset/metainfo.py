"""The metainfo of a dataset, as mmpose's configs hold it: names, pairs, skeleton, colors and sigmas."""
from typing import Dict, List, Optional, Sequence

from mmpose_mspn.new_dataset.coco_body import of_coco
from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.names import LEFT, RIGHT, Pair, words_of

COLORS = {LEFT: [0, 255, 0], RIGHT: [255, 128, 0], None: [51, 153, 255]}
"""RGB of the keypoints and links of a side, as in mmpose's COCO; ``None``: of neither side."""


def build_metainfo(category: Category, pairs: Sequence[Pair], sigmas: Sequence[float]) -> dict:
    """``dataset_info`` as ``mmpose.datasets.datasets.utils.parse_pose_metainfo`` reads it.

    Args:
        category: Names and skeleton.
        pairs: Pairs of names that a horizontal flip swaps.
        sigmas: K sigmas.
    """
    swap = {name: other for pair in pairs for name, other in (pair, pair[::-1])}
    names = category.keypoints
    return dict(
        dataset_name=category.name,
        keypoint_info={
            index: dict(name=name, id=index, color=COLORS[_side(name)], type=_half(name), swap=swap.get(name, ''))
            for index, name in enumerate(names)
        },
        skeleton_info={
            index: dict(link=(names[start], names[end]), id=index, color=_color_of_link(names[start], names[end]))
            for index, (start, end) in enumerate(category.skeleton)
        },
        joint_weights=[1.] * len(names),
        sigmas=list(sigmas))


def _half(name: str) -> str:
    keypoint = of_coco(name)
    return keypoint.half if keypoint else ''


def _side(name: str) -> Optional[str]:
    sides = {word for word in words_of(name) if word in (LEFT, RIGHT)}
    return sides.pop() if len(sides) == 1 else None


def _color_of_link(start: str, end: str) -> List[int]:
    return COLORS[_side(start) if _side(start) == _side(end) else None]


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
