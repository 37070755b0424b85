"""mmpose's COCO-style datasets with checked files and visibility 0/1/2."""
from typing import Optional

from mmpose.datasets.datasets import AicDataset as MmposeAicDataset
from mmpose.datasets.datasets import CocoDataset as MmposeCocoDataset
from mmpose.datasets.datasets import CocoWholeBodyDataset as MmposeCocoWholeBodyDataset
from mmpose.datasets.datasets import CrowdPoseDataset as MmposeCrowdPoseDataset

from mmpose_mspn.datasets.file_checks import FileChecksMixin
from mmpose_mspn.datasets.transforms import LoadVisibility
from mmpose_mspn.registry import DATASETS


class CocoStyleMixin(FileChecksMixin):
    """For mmpose's COCO-style datasets: file checks, and :class:`LoadVisibility` on every sample.

    The step runs when the annotations are loaded, so that a wrong visibility is refused before training begins. If the
    dataset's own pipeline names the step, its result is left to that place.
    """

    def parse_data_info(self, raw_data_info: dict) -> Optional[dict]:
        info = super().parse_data_info(raw_data_info)
        if info is None:
            return None
        try:
            loaded = LoadVisibility()(dict(info))
        except ValueError as error:
            raise ValueError(f'ann_file {self.ann_file}: {error}') from error
        in_pipeline = any(isinstance(step, LoadVisibility) for step in self.pipeline.transforms)
        return info if in_pipeline else loaded


@DATASETS.register_module()
class CocoDataset(CocoStyleMixin, MmposeCocoDataset):
    """mmpose's ``CocoDataset`` with checked files and visibility 0/1/2; another ``metainfo`` sets other keypoints."""


@DATASETS.register_module()
class AicDataset(CocoStyleMixin, MmposeAicDataset):
    """mmpose's ``AicDataset``, 14 keypoints, with checked files and visibility 0/1/2.

    It reads mmpose's conversion, whose visibility is COCO's. AI Challenger's own files use other codes (1 visible, 2
    occluded, 3 absent): a 3 is refused.
    """

    source = 'AI Challenger'
    remedy = 'see docs/data.md'


@DATASETS.register_module()
class CrowdPoseDataset(CocoStyleMixin, MmposeCrowdPoseDataset):
    """mmpose's ``CrowdPoseDataset``, 14 keypoints, with checked files and visibility 0/1/2."""

    source = 'CrowdPose'
    remedy = 'see docs/data.md'


@DATASETS.register_module()
class CocoWholeBodyDataset(CocoStyleMixin, MmposeCocoWholeBodyDataset):
    """mmpose's ``CocoWholeBodyDataset``, 133 keypoints, with checked files and visibility 0/1/2."""

    source = 'COCO-WholeBody'
    remedy = 'see docs/data.md'
