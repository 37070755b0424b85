"""Sigmas of the keypoints, by which OKS and so COCO's AP measure distances."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmpose_mspn.new_dataset.coco_body import DEFAULT_SIGMA, of_coco


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


def choose_sigmas(names: Sequence[str], given: Optional[Sequence[str]] = None) -> Sigmas:
    """COCO's sigmas for the names that COCO has, a default for the others.

    Args:
        names: K names of keypoints.
        given: What the user says: one number, the default; K numbers, all sigmas; or ``name=number`` for some.

    Raises:
        ValueError: ``given`` is none of these.
    """
    numbers, by_name = _parse(given or (), names)
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


def _parse(given: Sequence[str], names: Sequence[str]) -> Tuple[List[float], Dict[str, float]]:
    numbers, by_name = [], {}
    for item in given:
        name, separator, number = str(item).rpartition('=')
        if separator and name not in names:
            raise ValueError(f'--sigmas {item} names no keypoint of this dataset: they are {", ".join(names)}')
        try:
            value = float(number)
        except ValueError:
            value = float('nan')
        if not 0 < value < 1:
            raise ValueError(f'--sigmas must be numbers between 0 and 1, got {item}')
        if separator:
            by_name[name] = value
        else:
            numbers.append(value)
    if len(numbers) not in (0, 1, len(names)):
        raise ValueError(f'--sigmas takes one number for all keypoints that COCO does not have, {len(names)} numbers '
                         f'for all keypoints, or NAME=NUMBER, got {len(numbers)} numbers')
    return numbers, by_name
