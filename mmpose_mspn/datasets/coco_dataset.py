"""COCO-style keypoints with visibility 0/1/2 kept to the loss: COCO, AI Challenger, CrowdPose and COCO-WholeBody."""
import numpy as np
from mmpose.datasets.datasets import AicDataset as MmposeAicDataset
from mmpose.datasets.datasets import CocoDataset as MmposeCocoDataset
from mmpose.datasets.datasets import CocoWholeBodyDataset as MmposeCocoWholeBodyDataset
from mmpose.datasets.datasets import CrowdPoseDataset as MmposeCrowdPoseDataset

from mmpose_mspn.datasets.checked_loading import ChecksFiles
from mmpose_mspn.datasets.visibility import KeepsVisibility
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.visibility import CODES, VISIBLE


@DATASETS.register_module()
class CocoDataset(ChecksFiles, KeepsVisibility, MmposeCocoDataset):
    """mmpose's ``CocoDataset``, with what the official protocol needs and the stock one loses.

    Visibility and boxes: :class:`KeepsVisibility`. Files and errors: :class:`ChecksFiles`.
    """


@DATASETS.register_module()
class AicDataset(ChecksFiles, KeepsVisibility, MmposeAicDataset):
    """mmpose's ``AicDataset``, 14 keypoints, likewise.

    It reads mmpose's conversion, whose visibility is COCO's. AI Challenger's own files count otherwise (1 visible, 2
    occluded, 3 absent): a 3 is refused.
    """

    source = 'AI Challenger'
    remedy = 'docs/data.md says how'


@DATASETS.register_module()
class CrowdPoseDataset(ChecksFiles, KeepsVisibility, MmposeCrowdPoseDataset):
    """mmpose's ``CrowdPoseDataset``, 14 keypoints, likewise."""

    source = 'CrowdPose'
    remedy = 'docs/data.md says how'


@DATASETS.register_module()
class CocoWholeBodyDataset(ChecksFiles, KeepsVisibility, MmposeCocoWholeBodyDataset):
    """mmpose's ``CocoWholeBodyDataset``, 133 keypoints, likewise.

    Some visibilities of feet, faces and hands are fractions, which by the dataset's notes stand for a reliable
    keypoint. They count as visible.
    """

    source = 'COCO-WholeBody'
    remedy = 'docs/data.md says how'

    def annotated_visibility(self, annotation: dict) -> np.ndarray:
        """(1, 133) in 0/1/2."""
        parts = [annotation[part] for part in ('foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')]
        added = np.array(sum(parts, []), np.float32).reshape(1, -1, 3)[..., 2]
        added = np.where((added > 0) & ~np.isin(added, CODES), VISIBLE, added)
        if not np.isin(added, CODES).all():
            raise ValueError(f'annotation {annotation["id"]} of {self.ann_file}: visibility must be >= 0, got '
                             f'{added.min()}')
        return np.concatenate([super().annotated_visibility(annotation), added], 1)
