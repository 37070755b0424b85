"""The category with keypoints in a COCO annotation file."""
from typing import Dict, List, NamedTuple, Optional, Tuple

from mmpose_mspn.utils.files import FilePath, read_json

SHOWN = 5
"""Examples that an error message shows."""
DEFAULT_ID = 1
"""Id of a category whose own id is not an integer."""


class Category(NamedTuple):
    """A category with keypoints.

    Attributes:
        id: Its id in the annotation file.
        name: Its name.
        keypoints: Names of its K keypoints.
        skeleton: Pairs of indices of keypoints, 0 to K - 1, that a line joins.
        written_id: Its id in the files that are written, an integer.
    """
    id: object
    name: str
    keypoints: Tuple[str, ...]
    skeleton: Tuple[Tuple[int, int], ...]
    written_id: int


def read_coco(name: str, path: FilePath) -> dict:
    """The content of a COCO annotation file.

    Args:
        name: What messages call the file.
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or has not the three lists of COCO's format.
    """
    content = read_json(name, path)
    needed = ('images', 'annotations', 'categories')
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in needed):
        raise ValueError(f"{name} {path} is not in COCO's format, an object with the lists images, annotations and "
                         'categories: export it as COCO keypoints, or convert it with tools/convert_annotations.py')
    return content


def find_category(content: dict, path: FilePath, wanted: Optional[str] = None) -> Category:
    """The category that has keypoints.

    Args:
        content: Content of a COCO annotation file.
        path: The file, for messages.
        wanted: Name of the category, needed where several have keypoints.

    Raises:
        ValueError: No category has keypoints; several have, and none is chosen; there is none of the name ``wanted``;
            or its names or its skeleton are not usable.
    """
    entries = [entry for entry in content['categories'] if isinstance(entry, dict) and entry.get('keypoints')]
    if not entries:
        names = [str(entry.get('name')) for entry in content['categories'] if isinstance(entry, dict)]
        raise ValueError(f'no category of {path} has keypoints; its categories are {_some(names)}: export the file as '
                         'COCO keypoints, whose category lists the names of the keypoints')
    if wanted is not None:
        chosen = [entry for entry in entries if wanted in (entry.get('name'), str(entry.get('id')))]
        if len(chosen) != 1:
            raise ValueError(f'{path} has {len(chosen)} categories with keypoints called {wanted}; there are '
                             f'{_described(entries, content)}: choose one with --category')
        entries = chosen
    if len(entries) > 1:
        raise ValueError(f'{path} has {len(entries)} categories with keypoints, {_described(entries, content)}: choose '
                         'one with --category NAME')
    return _category(entries[0], path)


def _category(entry: dict, path: FilePath) -> Category:
    name = str(entry.get('name') or 'object')
    keypoints = entry['keypoints']
    if not isinstance(keypoints, list) or not all(isinstance(keypoint, str) and keypoint for keypoint in keypoints):
        raise ValueError(f'the keypoints of category {name} in {path} must be a list of names, got '
                         f'{str(keypoints)[:80]}: name each of them')
    repeated = sorted({keypoint for keypoint in keypoints if keypoints.count(keypoint) > 1})
    if repeated:
        raise ValueError(f'keypoints of category {name} in {path} share the name {_some(repeated)}: give each keypoint '
                         'a name of its own')
    number = entry.get('id')
    written_id = number if isinstance(number, int) and not isinstance(number, bool) else DEFAULT_ID
    return Category(number, name, tuple(keypoints), _skeleton(entry, name, len(keypoints), path), written_id)


def _skeleton(entry: dict, name: str, count: int, path: FilePath) -> Tuple[Tuple[int, int], ...]:
    """Links from 0. COCO counts keypoints from 1; a skeleton that holds a 0 counts from 0."""
    links = entry.get('skeleton') or []
    ends = [end for link in links for end in (link if isinstance(link, list) else [link])]
    first = 0 if 0 in ends else 1
    for link in links:
        if (not isinstance(link, list) or len(link) != 2
                or not all(isinstance(end, int) and first <= end < count + first for end in link)):
            raise ValueError(f'link {link} in the skeleton of category {name} in {path} must be two numbers of '
                             f'keypoints, {first} to {count + first - 1}: correct or delete it')
    return tuple((start - first, end - first) for start, end in links)


def _described(entries: List[dict], content: dict) -> str:
    counts: Dict[object, int] = {}
    for annotation in content['annotations']:
        if isinstance(annotation, dict):
            counts[str(annotation.get('category_id'))] = counts.get(str(annotation.get('category_id')), 0) + 1
    return ', '.join(f'{entry.get("name")} ({len(entry["keypoints"])} keypoints, {counts.get(str(entry.get("id")), 0)} '
                     'annotations)' for entry in entries)


def _some(items: List[str]) -> str:
    return (', '.join(items[:SHOWN]) or 'none') + (', …' if len(items) > SHOWN else '')
