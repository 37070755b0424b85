"""The problems that a check finds, by kind, each with its remedy."""
import os.path as osp
from typing import Dict, List, Optional

from mmpose_mspn.utils.files import read_json as read_file

EXAMPLES = 3
"""Number of examples that a report shows for each kind of problem."""

REMEDIES = {
    'missing file': 'put it there, or change data_root and the paths below it in the config',
    'unreadable file': 'fetch or write the file again, in the format named',
    'incomplete entry': 'write all of the fields that the datasets read',
    'missing image': 'fetch the images again, or correct data_prefix',
    'image that does not open': 'fetch the image again',
    'wrong image size': 'the annotations belong to other images, or these were resized: fetch both from one source',
    'duplicate image id': 'give every image an id of its own: the later entry hides the earlier one',
    'duplicate annotation id': 'give every annotation an id of its own: the later entry hides the earlier one',
    'annotation of an unknown image': 'add the image to "images", or drop the annotation',
    'wrong number of keypoints': 'write x, y and visibility of every keypoint of the dataset, in its order',
    'visibility out of range': 'write 0 (not labeled), 1 (occluded) or 2 (visible); MPII: joints_vis 0 or 1; '
                               "COCO-WholeBody's feet, faces and hands: a number >= 0; AI Challenger's own files use "
                               "other codes: use mmpose's conversion",
    'keypoint outside the image': 'correct it, or give it visibility 0',
    'box without a positive size': 'write x, y, width and height in px, the last two > 0 (MPII: a finite scale > 0)',
    'box outside the image': 'correct the box: it must overlap the image (MPII: the center must lie in it)',
    'detection in an unknown image': 'use a box file that was made for these images',
    'detection without a finite score': 'write a number as score',
    'result in an unknown image': 'test on the images that the evaluation asks for',
    'result of another category': 'write category_id 1, which is a person',
    'result that is not finite': 'write finite numbers; a network whose outputs are not finite has diverged',
    'wrong number of head boxes': 'use the head boxes of this annotation file: one for each person, in its order',
    'dataset that is not checked': 'none of its files was read, because only the formats of docs/data.md are known: '
                                   'check its files by other means',
}
"""What to do about each kind of problem."""


class Report:
    """The problems found: the number and the first examples of each kind."""

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}
        self.examples: Dict[str, List[str]] = {}

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


def read_json(path: str, report: Report) -> Optional[object]:
    """The content of a JSON file, or ``None``, with the problem in the report, if it cannot be read."""
    if not osp.exists(path):
        report.add('missing file', path)
        return None
    try:
        return read_file('file', path)
    except (OSError, ValueError) as error:
        report.add('unreadable file', str(error))
        return None
