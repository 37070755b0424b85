"""Words of keypoint names, the pairs of keypoints that a horizontal flip swaps, and items ``a=b`` of options."""
import re
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.utils.errors import UserError

LEFT, RIGHT = 'left', 'right'
SIDES = {LEFT: LEFT, 'l': LEFT, RIGHT: RIGHT, 'r': RIGHT}
"""Words that name a side."""
SERIES = 4
"""So many numbered names without a pair, such as face-0 to face-3, may hide pairs."""
_OTHER_SIDE = {LEFT: RIGHT, RIGHT: LEFT}
_LETTER_AND_DIGIT = re.compile(r'(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])')
_SIDE_AND_REST = re.compile(rf'({LEFT}|{RIGHT})(.+)|(.+)({LEFT}|{RIGHT})')
_FIRST_L = re.compile(r'(?<![^\W\d_])l', re.IGNORECASE)

Words = Tuple[str, ...]
Pair = Tuple[str, str]


class FlipPairs(NamedTuple):
    """What the names of keypoints tell about a horizontal flip.

    Attributes:
        pairs: Pairs of names, left and right.
        doubts: Names that may belong to pairs that were not found: they name a side and have no counterpart, differ
            from another name by l and r only (``LF_hoof=RF_hoof``), or are a numbered series. A flip that swaps too few
            keypoints teaches wrong positions, so it should stay off until someone has looked at them.
    """
    pairs: Tuple[Pair, ...]
    doubts: Tuple[str, ...]


def words_of(name: str) -> Words:
    """The words of a name in lower case, sides as ``'left'`` and ``'right'``.

    A word ends at characters that are neither letters nor digits, between letters and digits, and where the case
    changes as in ``eyeL`` and ``LEye``. A side also counts at the start or the end of a word, as in ``lefteye``.
    """
    return tuple(part for word in _plain_words(name) for part in _separate_side(word))


def _plain_words(name: str) -> List[str]:
    """The words of a name in lower case."""
    runs = [run for part in re.split(r'[\W_]+', name) for run in _LETTER_AND_DIGIT.split(part) if run]
    return [word.casefold() for run in runs for word in _split_by_case(run)]


def _split_by_case(text: str) -> List[str]:
    """Split ``eyeL`` into ``eye``, ``L`` and ``LEye`` into ``L``, ``Eye``."""
    starts = [index for index in range(1, len(text)) if text[index].isupper() and (
        text[index - 1].islower() or text[index + 1:index + 2].islower())]
    return [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)])]


def _separate_side(word: str) -> Words:
    """A word as it is, or as a side and the rest in their order."""
    if word in SIDES:
        return (SIDES[word], )
    match = _SIDE_AND_REST.fullmatch(word)
    return tuple(filter(None, match.groups())) if match else (word, )


def find_flip_pairs(names: Sequence[str]) -> FlipPairs:
    """Find the pairs among the names of all keypoints.

    Two names are a pair if their words are equal except for the sides, every side of one is the opposite in the other,
    and no third name has the words of either.
    """
    owners: Dict[Words, List[str]] = {}
    for name in names:
        owners.setdefault(words_of(name), []).append(name)
    pairs = []
    for words, left in owners.items():
        right = owners.get(tuple(_OTHER_SIDE.get(word, word) for word in words), [])
        sides = [word for word in words if word in _OTHER_SIDE]
        if sides and sides[0] == LEFT and len(left) == len(right) == 1:
            pairs.append((left[0], right[0]))
    paired = {name for pair in pairs for name in pair}
    return FlipPairs(tuple(pairs), _find_doubts([name for name in names if name not in paired]))


def _find_doubts(unpaired: Sequence[str]) -> Tuple[str, ...]:
    """See :class:`FlipPairs`."""
    sided = [name for name in unpaired if any(word in SIDES for word in _plain_words(name))]
    rest = [name for name in unpaired if name not in sided]
    return (*sided, *_pairs_of_l_and_r(rest), *_numbered_series(rest))


def _pairs_of_l_and_r(names: Sequence[str]) -> List[str]:
    """``a=b`` for names that are equal except that a word of one starts with l and that of the other with r."""
    lowered = {name.casefold(): name for name in names}
    pairs = []
    for low, name in lowered.items():
        counterparts = [lowered.get(f'{low[:match.start()]}r{low[match.end():]}') for match in _FIRST_L.finditer(low)]
        pairs += [f'{name}={counterpart}' for counterpart in counterparts if counterpart is not None]
    return pairs


def _numbered_series(names: Sequence[str]) -> List[str]:
    """Names that differ by a number only, as the first of them and how many there are."""
    stems = {name: tuple(word for word in _plain_words(name) if not word.isdigit()) for name in names}
    numbered = {name: stem for name, stem in stems.items() if stem != tuple(_plain_words(name))}
    first = {stem: name for name, stem in reversed(numbered.items())}
    return [f'{first[stem]} … ({count} of its kind)'
            for stem, count in Counter(numbered.values()).items() if count >= SERIES]


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


def choose_pairs(names: Sequence[str], items: Optional[Sequence[str]] = None) -> ChosenPairs:
    """Pairs from names, and those that the user gives.

    Args:
        items: Items ``a=b``. They go before pairs that names suggest, and whoever gives them, or an empty list, has
            settled all doubts.

    Raises:
        UserError: An item names no two keypoints, or a keypoint occurs twice.
    """
    suggested = find_flip_pairs(names)
    if items is None:
        return ChosenPairs(suggested.pairs, len(suggested.pairs), suggested.doubts)
    pairs = [split_item('--pairs', item, names, names) for item in items]
    used = [name for pair in pairs for name in pair]
    repeated = sorted({name for name in used if used.count(name) > 1})
    if repeated:
        raise UserError(f'--pairs names {", ".join(repeated)} more than once: a keypoint has one counterpart')
    kept = [pair for pair in suggested.pairs if not set(pair) & set(used)]
    return ChosenPairs((*kept, *pairs), len(kept), ())


def parse_map(items: Optional[Sequence[str]], names: Sequence[str], sources: Sequence[str]) -> Dict[str, str]:
    """The items ``keypoint=source`` of ``--map`` as a dictionary.

    Raises:
        UserError: An item does not name a keypoint of each side.
    """
    return dict(split_item('--map', item, names, sources) for item in items or ())


def split_item(option: str, item: str, left: Sequence[str], right: Sequence[str]) -> Pair:
    """``a=b`` as two names, which may hold ``=`` themselves.

    Raises:
        UserError: No split gives a name of ``left`` and one of ``right``.
    """
    parts: List[str] = item.split('=')
    for cut in range(1, len(parts)):
        pair = '='.join(parts[:cut]), '='.join(parts[cut:])
        if pair[0] in left and pair[1] in right:
            return pair
    known = ', '.join(left) if left == right else f'{", ".join(left)}, and after = {", ".join(right)}'
    raise UserError(f'{option} takes NAME=NAME, got {item}; the names are {known}')
