"""The checkpoint that a training starts from."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmpose_mspn.checkpoints.carry import Origin, find_origins, source_names
from mmpose_mspn.checkpoints.convert import convert, is_rsn, recognize
from mmpose_mspn.checkpoints.files import read_checkpoint, weights_of
from mmpose_mspn.checkpoints.implied import implied_backbone
from mmpose_mspn.new_dataset.names import words_of
from mmpose_mspn.new_dataset.pairs import parse_map
from mmpose_mspn.utils.files import FilePath

NARROW = 64
"""A network whose stem has fewer channels gets the crops of the small network."""
DEEP = 50
"""Depth of a ResNet from which a network counts as large."""


class Start(NamedTuple):
    """The weights that a training starts from.

    Attributes:
        path: The checkpoint, absolute.
        backbone: Config of its backbone.
        network: Key of :data:`mmpose_mspn.new_dataset.plan.NETWORKS` whose crops and batch it gets.
        origins: Where each keypoint starts.
        keypoint_map: By keypoint of the dataset: the keypoint of the checkpoint, where their names differ.
    """
    path: Path
    backbone: dict
    network: str
    origins: List[Origin]
    keypoint_map: Dict[str, str]


def find_start(path: FilePath, names: Sequence[str], given_map: Optional[Sequence[str]] = None,
               given_sources: Optional[Sequence[str]] = None) -> Start:
    """Read a checkpoint of MSPN in any layout, and find where the keypoints ``names`` start.

    Args:
        path: The checkpoint.
        names: K names of keypoints of the dataset.
        given_map: Items ``keypoint=source``.
        given_sources: Names of the checkpoint's keypoints, if it does not name them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a checkpoint of MSPN with a plain ResNet, its keypoints are not known, or an item of
            ``given_map`` names no keypoint.
    """
    path = Path(path).resolve()
    checkpoint = read_checkpoint(path)
    weights = weights_of(checkpoint, path)
    try:
        weights = weights if recognize(weights) == 'mmpose_mspn' else convert(weights)
        if is_rsn(weights):
            raise ValueError('its backbone is RSN; name it as load_from in a config of RSN')
        sources = source_names(checkpoint, given_sources)
        backbone = implied_backbone(weights)
    except ValueError as error:
        raise ValueError(f'--init-from {path}: {error}') from error
    keypoint_map = {**_other_spellings(names, sources), **parse_map(given_map, names, sources)}
    return Start(path, backbone, _network_like(backbone), find_origins(names, sources, keypoint_map), keypoint_map)


def _network_like(backbone: dict) -> str:
    encoder = backbone['encoder']
    if encoder['stem_channels'] < NARROW:
        return 'small'
    return 'medium' if encoder['depth'] < DEEP else 'large'


def _other_spellings(names: Sequence[str], sources: Sequence[str]) -> Dict[str, str]:
    """Keypoints whose name the checkpoint spells in another way, such as ``L_Eye`` and ``left_eye``."""
    by_words = {words_of(source): source for source in sources}
    return {name: by_words[words_of(name)] for name in names if name not in sources and words_of(name) in by_words}
