"""COCO keypoints with visibility 0/1/2 kept to the loss."""
import os.path as osp
from typing import Optional

import numpy as np
from mmpose.datasets.datasets import CocoDataset as MmposeCocoDataset

from mmpose_mspn.registry import DATASETS


@DATASETS.register_module()
class CocoDataset(MmposeCocoDataset):
    """mmpose's ``CocoDataset``, with what the official protocol needs and the stock one loses.

    - Visibility stays 0 (not labelled), 1 (occluded) or 2 (visible); the stock data set clips it to 1.
    - Boxes stay as annotated; the stock data set clips them to the image.
    - ``bbox_file`` lies below ``data_root``, as ``ann_file`` does.

    Raises:
        FileNotFoundError: ``ann_file`` or ``bbox_file`` does not exist.
        ValueError: A visibility is not 0, 1 or 2; the annotation is named by its id.
    """

    def _join_prefix(self) -> None:
        super()._join_prefix()
        if self.bbox_file and self.data_root and not osp.isabs(self.bbox_file):
            self.bbox_file = osp.join(self.data_root, self.bbox_file)
        for name, path in (('ann_file', self.ann_file), ('bbox_file', self.bbox_file)):
            if path and not osp.exists(path):
                raise FileNotFoundError(
                    f'{name} {path} does not exist: put COCO there, or change data_root '
                    f'(now {self.data_root}); `make data` writes synthetic people in the same layout')

    def parse_data_info(self, raw_data_info: dict) -> Optional[dict]:
        info = super().parse_data_info(raw_data_info)
        if info is None:
            return None
        annotation = raw_data_info['raw_ann_info']
        visible = np.array(annotation['keypoints'], np.float32).reshape(1, -1, 3)[..., 2]
        if not np.isin(visible, (0, 1, 2)).all():
            raise ValueError(f'annotation {annotation["id"]} of {self.ann_file}: visibility must be 0, 1 or 2, got '
                             f'{np.setdiff1d(visible, (0, 1, 2)).tolist()}')
        x, y, w, h = annotation['bbox']
        info['keypoints_visible'] = visible
        info['bbox'] = np.array([[x, y, x + w, y + h]], np.float32)
        return info
