"""The images of a dataset, wherever they lie below a folder."""
import os
import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from PIL import Image, UnidentifiedImageError

from mmpose_mspn.utils.files import FilePath

UPLOAD_PREFIX = re.compile(r'^[0-9a-f]{8}-')
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of an image's orientation, and its values that swap width and height."""


class ImageFolder:
    """A folder of images and its sub-folders.

    Args:
        folder: The folder.

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


def _common_end(path: Sequence[str], other: Sequence[str]) -> int:
    """Number of parts that are equal, counted from the end."""
    count = 0
    for one, two in zip(reversed(path), reversed(other)):
        if one != two:
            break
        count += 1
    return count
