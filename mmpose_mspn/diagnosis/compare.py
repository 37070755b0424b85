"""Diagnoses of several models on the same data, side by side."""
from pathlib import Path
from typing import List, Sequence, Union

from mmpose_mspn.utils.files import read_json

COMPARED = ('figure', 'metrics', 'counts', 'errors', 'corrections', 'keypoints')
"""Entries of ``diagnosis.json`` that are set side by side."""


def read_others(paths: Sequence[Union[str, Path]]) -> List[dict]:
    """Other diagnoses, each with ``name``: its folder's.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a ``diagnosis.json`` with a figure.
    """
    others = []
    for path in paths:
        content = read_json('compare', path, dict)
        missing = [name for name in COMPARED if not content.get(name)]
        if missing:
            raise ValueError(f'compare {path} lacks {", ".join(missing)}: name the diagnosis.json that '
                             'tools/diagnose.py wrote for labeled data')
        others.append(dict(content, name=Path(path).resolve().parent.name, path=str(path)))
    return others


def side_by_side(content: dict, others: Sequence[dict]) -> List[dict]:
    """A row per diagnosis, this one first: ``name`` and the entries of :data:`COMPARED`.

    Args:
        content: This diagnosis.
        others: From :func:`read_others`.

    Raises:
        ValueError: Another is of other people, keypoints or another figure.
    """
    for other in others:
        for what, same in (('figure', other['figure']['name'] == content['figure']['name']),
                           ('keypoints', [row['name'] for row in other['keypoints']] == content['keypoint_names']),
                           ('number of people', other['counts']['people'] == content['counts']['people'])):
            if not same:
                raise ValueError(f'compare {other["path"]} is of another {what} than this diagnosis: compare '
                                 'diagnoses of the same data')
    return [dict({name: row[name] for name in COMPARED}, name=row['name'])
            for row in (dict(content, name='this one'), *others)]
