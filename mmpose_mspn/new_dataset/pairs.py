"""Items ``a=b`` of the command line, and the flip pairs that they and the names of keypoints give."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.new_dataset.names import Pair, find_flip_pairs


class ChosenPairs(NamedTuple):
    """The flip pairs of a dataset.

    Attributes:
        pairs: Pairs of names.
        from_names: How many of them were found in the names; the others were given.
        doubts: Why flips stay off although there are pairs; empty if nothing speaks against flips.
    """
    pairs: Tuple[Pair, ...]
    from_names: int
    doubts: Tuple[str, ...]

    @property
    def can_flip(self) -> bool:
        """Whether a horizontal flip is known to swap the right keypoints."""
        return bool(self.pairs) and not self.doubts


def choose_pairs(names: Sequence[str], given: Optional[Sequence[str]] = None) -> ChosenPairs:
    """Pairs from names, and those that the user gives.

    Args:
        names: K names of keypoints.
        given: Items ``a=b``. They go before pairs that names suggest, and whoever gives them, or an empty list, has
            settled all doubts.

    Raises:
        ValueError: An item names no two keypoints, or a keypoint occurs twice.
    """
    found = find_flip_pairs(names)
    if given is None:
        return ChosenPairs(found.pairs, len(found.pairs), found.doubts)
    own = [split_item('--pairs', item, names, names) for item in given]
    used = [name for pair in own for name in pair]
    repeated = sorted({name for name in used if used.count(name) > 1})
    if repeated:
        raise ValueError(f'--pairs names {", ".join(repeated)} more than once: a keypoint has one counterpart')
    kept = [pair for pair in found.pairs if not set(pair) & set(used)]
    return ChosenPairs((*kept, *own), len(kept), ())


def parse_map(given: Optional[Sequence[str]], names: Sequence[str], sources: Sequence[str]) -> Dict[str, str]:
    """The items ``keypoint=source`` of ``--map`` as a dictionary.

    Raises:
        ValueError: An item does not name a keypoint of each side.
    """
    return dict(split_item('--map', item, names, sources) for item in given or ())


def split_item(option: str, item: str, left: Sequence[str], right: Sequence[str]) -> Pair:
    """``a=b`` as two names, which may hold ``=`` themselves.

    Raises:
        ValueError: No split gives a name of ``left`` and one of ``right``.
    """
    parts: List[str] = item.split('=')
    for cut in range(1, len(parts)):
        pair = '='.join(parts[:cut]), '='.join(parts[cut:])
        if pair[0] in left and pair[1] in right:
            return pair
    known = ', '.join(left) if left == right else f'{", ".join(left)}, and after = {", ".join(right)}'
    raise ValueError(f'{option} takes NAME=NAME, got {item}; the names are {known}')
