"""The problems that files of a dataset may have, by kind, each with its remedy, and what to do about them.

A check is a generator that yields each :class:`Problem` and returns what it could use of a file. Whoever cannot use a
faulty file calls :func:`raise_first`, and whoever lists all problems calls :meth:`Report.collect`.
"""
import os.path as osp
from typing import Dict, Generator, List, NamedTuple, Sequence, Tuple, TypeVar

from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import FilePath, read_json

LARGEST_SIDE = 2**20
"""px; OpenCV reads no larger image."""
FAR = 10
"""Coordinates may lie this many times the image's longer side outside of it; beyond that they are mistakes."""
EXAMPLES = 3
"""Number of examples that a report shows for each kind of problem."""

REMEDIES = {
    'missing file': 'put it there, or change data_root and the paths below it in the config',
    'unreadable file': 'fetch or write the file again, in the format named',
    'incomplete entry': 'write all of the fields that the datasets read',
    'id that is not an integer': 'write ids as integers from 0, without quotes',
    'duplicate image id': 'give every image an id of its own: the later entry hides the earlier one',
    'duplicate annotation id': 'give every annotation an id of its own: the later entry hides the earlier one',
    'category that is not listed': 'add the category to "categories", or correct category_id: the evaluation leaves '
                                   'other categories out',
    'image without a name': 'write the name of the image file, below the folder of data_prefix',
    'image without a positive size': f'write width and height in px, 1 to {LARGEST_SIDE}',
    'missing image': 'fetch the images again, or correct data_prefix',
    'image that does not open': 'fetch the image again, or write it as a JPEG or PNG file',
    'wrong image size': 'the annotations belong to other images, or these were resized: fetch both from one source',
    'annotations of an unrotated photograph': 'the file stores the photograph sideways with an EXIF tag, by which the '
                                              'loader turns it: annotate the turned image and write its width and '
                                              'height, or remove the tag from the file',
    'file without people': 'annotate people with a box and labeled keypoints',
    'annotation of an unknown image': 'add the image to "images", or drop the annotation',
    'wrong number of keypoints': 'write x, y and visibility of every keypoint of the dataset, in its order',
    'keypoint that is not finite': 'write finite numbers; 0, 0, 0 stands for a keypoint that is not labeled',
    'labeled keypoint at (0, 0)': 'give keypoints that are not labeled visibility 0: they would be learned at the '
                                  'corner of the image',
    'visibility out of range': 'write 0 (not labeled), 1 (occluded) or 2 (visible); MPII: joints_vis 0 or 1; '
                               "COCO-WholeBody's feet, faces and hands: a number >= 0; AI Challenger's own files use "
                               "other codes: use mmpose's conversion",
    'keypoint outside the image': 'correct it, or give it visibility 0',
    'coordinate far outside the image': f'correct it: it lies more than {FAR} times the image\'s longer side outside',
    'box without a positive size': 'write x, y, width and height in px, the last two > 0 (MPII: a finite center and a '
                                   'finite scale > 0)',
    'box outside the image': 'correct the box: it must overlap the image (MPII: the center must lie in it)',
    'boxes in xyxy': 'write x, y, width and height in px, not x1, y1, x2, y2',
    'normalized coordinates': 'write px: multiply x by the width of the image, and y by its height',
    'area out of range': 'write the area of the person in px², > 0 and not larger than its box or the image',
    'iscrowd out of range': 'write 1 for a crowd and 0 for a person',
    'num_keypoints out of range': 'write the number of labeled keypoints, an integer >= 0',
    'detection without a finite score': 'write a number as score',
    'detection in an unknown image': 'use a box file that was made for these images',
    'file without detections': 'run the detector on these images, or test on the annotated boxes (bbox_file=None)',
    'detections of other categories only': 'write category_id 1, which is a person, in the boxes and the annotations: '
                                           'the datasets test on no other boxes',
    'result in an unknown image': 'test on the images that the evaluation asks for',
    'result of another category': 'write category_id 1, which is a person',
    'result that is not finite': 'write finite numbers; a network whose outputs are not finite has diverged',
    'wrong number of head boxes': 'use the head boxes of this annotation file: one for each person, in its order',
    'head box without a positive size': 'correct it, because PCKh divides by the size',
    'metainfo that does not load': 'correct metainfo in the config: see docs/data.md, "Another keypoint set"',
    'dataset that is not checked': 'none of its files was read, because only the formats of docs/data.md are known: '
                                   'check its files by other means',
}
"""What to do about each kind of problem."""

Result = TypeVar('Result')


class Problem(NamedTuple):
    """A problem: its kind, a key of :data:`REMEDIES`, and a sentence that says where it is and what is wrong."""
    kind: str
    example: str


Check = Generator[Problem, None, Result]
"""Yields each problem, and returns what is usable."""


def raise_first(check: Check[Result], hint: str = '; tools/check_data.py lists all such problems') -> Result:
    """What a check returns; ``hint`` ends the message of an error.

    Raises:
        DataError: There is a problem. The message names the first one and its remedy.
    """
    try:
        kind, example = next(check)
    except StopIteration as finished:
        return finished.value
    raise DataError(f'{example} ({kind}): {REMEDIES[kind]}{hint}')


class Report:
    """The problems found: the number and the first examples of each kind."""

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}
        self.examples: Dict[str, List[str]] = {}

    def collect(self, check: Check[Result]) -> Result:
        """Add all problems that a check yields, and return what it returns."""
        while True:
            try:
                self.add(*next(check))
            except StopIteration as finished:
                return finished.value

    def add(self, kind: str, example: str) -> None:
        """Add a problem.

        Args:
            kind: One of :data:`REMEDIES`.
            example: Where the problem is, and what is wrong there.
        """
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


def check_json(path: FilePath) -> Check[object]:
    """The content of a JSON file, or ``None`` if it cannot be read."""
    if not osp.exists(path):
        yield Problem('missing file', str(path))
        return None
    try:
        return read_json('file', path)
    except (OSError, ValueError, MemoryError) as error:
        yield Problem('unreadable file', str(error))
        return None


def complete_entries(entries: Sequence[object], fields: Sequence[str], name: str) -> Check[List[Tuple[int, dict]]]:
    """The entries of a list that are objects with all of the fields, with their indices."""
    complete = []
    for index, entry in enumerate(entries):
        missing = [field for field in fields if not isinstance(entry, dict) or field not in entry]
        if missing:
            yield Problem('incomplete entry', f'entry {index}, {name}: no {", ".join(missing)}')
        else:
            complete.append((index, entry))
    return complete


def is_file_name(value: object) -> bool:
    """Whether a value can be the name of a file."""
    return isinstance(value, str) and bool(value.strip()) and '\0' not in value
