"""The category with keypoints in a COCO annotation file, and the images of the file, wherever they lie in a folder."""
import os
import re
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from PIL import Image, UnidentifiedImageError

from mmpose_mspn.utils.arguments import first_few, truncate
from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.numbers import is_integer

LISTS = ('images', 'annotations', 'categories')
"""Lists that an annotation file with keypoints must hold."""
DEFAULT_ID = 1
"""Id of a category whose own id is not an integer."""
UPLOAD_PREFIX = re.compile(r'^[0-9a-f]{8}-')
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of an image's orientation, and its values that swap width and height."""


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


def find_category(content: dict, path: FilePath, wanted: Optional[str] = None) -> Category:
    """The category that has keypoints.

    Args:
        wanted: Name of the category, needed where several have keypoints.

    Raises:
        DataError: No category has keypoints; several have, and none is chosen; there is none of the name ``wanted``;
            or its names or its skeleton are not usable.
    """
    entries = [entry for entry in content['categories'] if isinstance(entry, dict) and entry.get('keypoints')]
    if not entries:
        names = [str(entry.get('name')) for entry in content['categories'] if isinstance(entry, dict)]
        raise DataError(f'no category of {path} has keypoints; its categories are {first_few(names) or "none"}: '
                        'export the file as COCO keypoints, whose category lists the names of the keypoints')
    if wanted is not None:
        chosen = [entry for entry in entries if wanted in (entry.get('name'), str(entry.get('id')))]
        if len(chosen) != 1:
            raise DataError(f'{path} has {len(chosen)} categories with keypoints called {wanted}; there are '
                            f'{_described(entries, content)}: choose one with --category')
        entries = chosen
    if len(entries) > 1:
        raise DataError(f'{path} has {len(entries)} categories with keypoints, {_described(entries, content)}: choose '
                        'one with --category NAME')
    return _category(entries[0], path)


def _category(entry: dict, path: FilePath) -> Category:
    name = str(entry.get('name') or 'object')
    keypoints = entry['keypoints']
    if not isinstance(keypoints, list) or not all(isinstance(keypoint, str) and keypoint for keypoint in keypoints):
        raise DataError(f'the keypoints of category {name} in {path} must be a list of names, got '
                        f'{truncate(keypoints)}: name each of them')
    repeated = sorted({keypoint for keypoint in keypoints if keypoints.count(keypoint) > 1})
    if repeated:
        raise DataError(f'keypoints of category {name} in {path} share the name {first_few(repeated)}: give each '
                        'keypoint a name of its own')
    number = entry.get('id')
    written_id = number if is_integer(number) else DEFAULT_ID
    return Category(number, name, tuple(keypoints), _skeleton(entry, name, len(keypoints), path), written_id)


def _skeleton(entry: dict, name: str, count: int, path: FilePath) -> Tuple[Tuple[int, int], ...]:
    """Links from 0. COCO counts keypoints from 1; a skeleton that holds a 0 counts from 0."""
    links = entry.get('skeleton') or []
    ends = [end for link in links for end in (link if isinstance(link, list) else [link])]
    first = 0 if 0 in ends else 1
    for link in links:
        if (not isinstance(link, list) or len(link) != 2
                or not all(isinstance(end, int) and first <= end < count + first for end in link)):
            raise DataError(f'link {link} in the skeleton of category {name} in {path} must be two numbers of '
                            f'keypoints, {first} to {count + first - 1}: correct or delete it')
    return tuple((start - first, end - first) for start, end in links)


def _described(entries: List[dict], content: dict) -> str:
    counts = Counter(str(annotation.get('category_id')) for annotation in content['annotations']
                     if isinstance(annotation, dict))
    return ', '.join(f'{entry.get("name")} ({len(entry["keypoints"])} keypoints, {counts[str(entry.get("id"))]} '
                     'annotations)' for entry in entries)


class ImageFolder:
    """A folder of images and its sub-folders.

    Raises:
        FileNotFoundError: It does not exist.
    """

    def __init__(self, folder: FilePath) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'the folder of images {folder} does not exist: name a folder that does')
        self._by_name: Optional[Dict[str, List[str]]] = None

    def find(self, file_name: str) -> Optional[str]:
        """The path below the folder of an image that a file calls ``file_name``; ``None`` if it is not there.

        A name that does not lead to a file is looked up in all sub-folders, at last without the prefix of eight digits
        that Label Studio puts before the names of uploaded files. Of several files of that name, the one whose folders
        agree best counts, and none if two agree equally well.
        """
        name = file_name.replace('\\', '/')
        if (self.folder / name).is_file():
            inside = os.path.relpath(self.folder / name, self.folder)
            return name if inside.startswith('..') else inside
        parts = name.split('/')
        original = UPLOAD_PREFIX.sub('', parts[-1])
        return self._best(parts) or self._best([*parts[:-1], original])

    def _best(self, parts: Sequence[str]) -> Optional[str]:
        """The one path that has the most of ``parts`` at its end."""
        agreeing: Dict[int, List[str]] = {}
        for path in self._names().get(parts[-1], []):
            agreeing.setdefault(_common_end(path.split('/'), parts), []).append(path)
        best = agreeing[max(agreeing)] if agreeing else []
        return best[0] if len(best) == 1 else None

    def _names(self) -> Dict[str, List[str]]:
        if self._by_name is None:
            self._by_name = {}
            for root, _, files in os.walk(self.folder):
                for name in files:
                    path = Path(root, name).relative_to(self.folder).as_posix()
                    self._by_name.setdefault(name, []).append(path)
        return self._by_name

    def size(self, path: str) -> Optional[Tuple[int, int]]:
        """Width and height in px of an image below the folder, as OpenCV reads it; ``None`` if it does not open."""
        try:
            with Image.open(self.folder / path) as image:
                turned = image.getexif().get(ORIENTATION) in TURNED
                return image.size[::-1] if turned else image.size
        except (OSError, UnidentifiedImageError, ValueError):
            return None


def _common_end(path: Sequence[str], name: Sequence[str]) -> int:
    """Number of parts that are equal, counted from the end."""
    count = 0
    for path_part, name_part in zip(reversed(path), reversed(name)):
        if path_part != name_part:
            break
        count += 1
    return count
