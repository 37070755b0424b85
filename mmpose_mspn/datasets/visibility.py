"""Visibility 0/1/2 from COCO-style annotation files to the loss, for every keypoint set."""
from typing import Optional

import numpy as np

from mmpose_mspn.utils.visibility import CODES


class KeepsVisibility:
    """For datasets of mmpose in COCO's style: keeps what they clip.

    - Visibility stays 0 (not labeled), 1 (occluded) or 2 (visible); the stock datasets clip it to 1.
    - Boxes stay as annotated; the stock datasets clip them to the image.

    Raises:
        ValueError: A visibility is not 0, 1 or 2; the annotation is named by its id.
    """

    def parse_data_info(self, raw_data_info: dict) -> Optional[dict]:
        info = super().parse_data_info(raw_data_info)
        if info is None:
            return None
        annotation = raw_data_info['raw_ann_info']
        x, y, w, h = annotation['bbox']
        info['keypoints_visible'] = self.annotated_visibility(annotation)
        info['bbox'] = np.array([[x, y, x + w, y + h]], np.float32)
        return info

    def annotated_visibility(self, annotation: dict) -> np.ndarray:
        """(1, K) in 0/1/2."""
        return self._checked(annotation, annotation['keypoints'])

    def _checked(self, annotation: dict, keypoints: list) -> np.ndarray:
        """(1, K) of x, y and visibility in a row."""
        visible = np.array(keypoints, np.float32).reshape(1, -1, 3)[..., 2]
        if not np.isin(visible, CODES).all():
            raise ValueError(f'annotation {annotation["id"]} of {self.ann_file}: visibility must be 0, 1 or 2, got '
                             f'{np.setdiff1d(visible, CODES).tolist()}')
        return visible
