"""Data checks: what is wrong with the files of a dataset, found before a training stumbles over it."""
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Dict, Iterable, List, Optional, Tuple

from PIL import Image
from tqdm import tqdm

from mmpose_mspn.utils.files import read_json as read_file

EXAMPLES = 3
"""Examples that a report shows of each kind of problem."""

REMEDIES = {
    'missing file': 'put it there, or change data_root and the paths below it in the config',
    'unreadable file': 'fetch or write the file again, in the format named',
    'incomplete entry': 'write all of the fields that the datasets read',
    'missing image': 'fetch the images again, or correct data_prefix',
    'image that does not open': 'fetch the image again',
    'image of another size': 'annotations belong to other images, or these were resized: fetch both from one source',
    'duplicate image id': 'give every image an id of its own: the later entry hides the earlier one',
    'duplicate annotation id': 'give every annotation an id of its own: the later entry hides the earlier one',
    'annotation of an unknown image': 'add the image to "images", or drop the annotation',
    'keypoints of another number': 'write x, y and visibility of every keypoint of the dataset, in its order',
    'visibility out of range': 'write 0 (not labeled), 1 (occluded) or 2 (visible); MPII: joints_vis 0 or 1; '
                               "COCO-WholeBody's feet, faces and hands: a number >= 0; AI Challenger's own files count "
                               "otherwise: take mmpose's conversion",
    'keypoint outside the image': 'correct it, or give it visibility 0',
    'box without a size': 'write x, y, width and height in px, the last two > 0 (MPII: a finite scale > 0)',
    'box outside the image': 'correct the box: it must overlap the image (MPII: the center must lie in it)',
    'detection in an unknown image': 'take a box file that was made for these images',
    'detection without a finite score': 'write a number as score',
    'result in an unknown image': 'test on the images that the evaluation asks for',
    'result of another category': 'write category_id 1, a person',
    'result that is not finite': 'write numbers; a network that gives none has diverged',
    'head boxes of other people': 'take the head boxes of this annotation file: one a person, in its order',
    'dataset that is not checked': 'nothing of it was read, for only the formats of docs/data.md are known: check its '
                                    'files by other means',
}
"""What to do about each kind of problem."""


class Report:
    """Problems found, by kind: their number and the first examples."""

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}
        self.examples: Dict[str, List[str]] = {}

    def add(self, kind: str, example: str) -> None:
        """Note a problem of one of the kinds of :data:`REMEDIES`."""
        assert kind in REMEDIES, kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

    def __bool__(self) -> bool:
        """Whether there are problems."""
        return bool(self.counts)

    def __str__(self) -> str:
        lines = []
        for kind, count in self.counts.items():
            lines.append(f'{kind}: {count}')
            lines += [f'    {example}' for example in self.examples[kind]]
            lines += ['    …'] if count > EXAMPLES else []
            lines.append(f'  to do: {REMEDIES[kind]}')
        return '\n'.join(lines) if lines else 'no problems found'


def read_json(path: str, report: Report) -> Optional[object]:
    """A file's content; ``None``, and a note in the report, if there is none."""
    if not osp.exists(path):
        report.add('missing file', path)
        return None
    try:
        return read_file('file', path)
    except (OSError, ValueError) as error:
        report.add('unreadable file', str(error))
        return None


def image_sizes(paths: Iterable[str], report: Report, decode: bool = False,
                progress: bool = True) -> Dict[str, Tuple[int, int]]:
    """(width, height) of the images that open.

    Args:
        paths: Image files.
        report: Takes note of the others.
        decode: Decode every pixel. Otherwise headers only, which misses files that end early.
        progress: Show a progress bar with the remaining time.
    """
    paths = list(dict.fromkeys(paths))
    sizes = {}
    with ThreadPoolExecutor() as pool:
        opened = pool.map(partial(_open, decode=decode), paths)
        for path, (size, problem) in zip(paths, tqdm(opened, 'images', len(paths), disable=not progress)):
            if size is not None:
                sizes[path] = size
            elif problem is None:
                report.add('missing image', path)
            else:
                report.add('image that does not open', f'{path}: {problem}')
    return sizes


def _open(path: str, decode: bool) -> Tuple[Optional[Tuple[int, int]], Optional[str]]:
    """Size, or what is wrong; neither if there is no such file."""
    if not osp.exists(path):
        return None, None
    try:
        with Image.open(path) as image:
            size = image.size
            if decode:
                image.load()
            else:
                image.verify()
        return size, None
    except Exception as error:  # a broken file can raise anything in a decoder
        return None, str(error) or type(error).__name__


def inside(x: float, y: float, size: Tuple[int, int], first: int = 0) -> bool:
    """Whether a point lies in an image of (width, height), its first px ``first``. The far edges belong to it."""
    return first <= x <= size[0] + first and first <= y <= size[1] + first
