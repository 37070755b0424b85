"""The files of a dataset, and their check by the dataset's type."""
from typing import NamedTuple, Optional, Tuple

from mmpose_mspn.data_check.coco_format import check_coco
from mmpose_mspn.data_check.mpii_format import check_mpii
from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.coco_rules import COCO_FIELDS, fields_of
from mmpose_mspn.datasets.evaluation_rules import Evaluation

BOX_OPTIONS = dict(dict.fromkeys(COCO_FIELDS, 'bbox_file'), MpiiDataset='headbox_file')
"""By the type of each dataset that can be checked: the option that names its boxes."""


class DatasetFiles(NamedTuple):
    """The files that a dataset reads."""
    dataset_type: str  # one of BOX_OPTIONS
    ann_file: str
    image_dir: str
    boxes: Tuple[str, ...] = ()  # files of a detector's boxes; MPII: of head boxes
    num_keypoints: Optional[int] = None  # of the dataset's own metainfo, if it has one
    evaluation: Optional[Evaluation] = None  # what is evaluated against the annotations, if anything is


def check_files(files: DatasetFiles, report: Report, **options) -> None:
    """Check the files of a dataset.

    Args:
        files: The files.
        report: Collects the problems.
        options: ``decode`` and ``progress`` of :func:`mmpose_mspn.data_check.images.image_sizes`.
    """
    if files.dataset_type == 'MpiiDataset':
        check_mpii(files.ann_file, files.image_dir, report, files.boxes, **options)
        return
    fields = fields_of(files.dataset_type, files.num_keypoints)
    check_coco(files.ann_file, files.image_dir, report, files.boxes, fields, evaluation=files.evaluation,
               **options)
