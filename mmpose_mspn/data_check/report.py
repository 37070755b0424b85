"""The problems that a check finds, by kind, each with its remedy."""
import os.path as osp
from typing import Dict, List, Optional

from mmpose_mspn.datasets.problems import REMEDIES as COCO_REMEDIES
from mmpose_mspn.utils.files import read_json as read_file

EXAMPLES = 3
"""Number of examples that a report shows for each kind of problem."""

REMEDIES = {
    **COCO_REMEDIES,
    'missing file': 'put it there, or change data_root and the paths below it in the config',
    'missing image': 'fetch the images again, or correct data_prefix',
    'image that does not open': 'fetch the image again, or write it as a JPEG or PNG file',
    'wrong image size': 'the annotations belong to other images, or these were resized: fetch both from one source',
    'annotations of an unrotated photograph': 'the file stores the photograph sideways with an EXIF tag, by which the '
                                              'loader turns it: annotate the turned image and write its width and '
                                              'height, or remove the tag from the file',
    'file without people': 'annotate people with a box and labeled keypoints',
    'annotation of an unknown image': 'add the image to "images", or drop the annotation',
    'keypoint outside the image': 'correct it, or give it visibility 0',
    'box outside the image': 'correct the box: it must overlap the image (MPII: the center must lie in it)',
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
    except (OSError, ValueError, MemoryError) as error:
        report.add('unreadable file', str(error))
        return None
