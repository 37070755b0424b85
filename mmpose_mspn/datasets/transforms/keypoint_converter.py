"""Conversion of one dataset's keypoints to another's, with visibility 0/1/2."""
import numpy as np
from mmpose.datasets.transforms import KeypointConverter as MmposeKeypointConverter

from mmpose_mspn.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeypointConverter(MmposeKeypointConverter):
    """mmpose's ``KeypointConverter``, with the visibility of the result as (N, K) in 0/1/2.

    The stock one appends weights to the visibility, which the official steps that follow do not read. It also
    multiplies the visibilities of a pair, so that 2 and 2 give 4; here a pair is as visible as its less visible
    keypoint. A keypoint that the source does not have is not labeled (0).

    Required and modified keys: ``keypoints`` (N, K', 2) to (N, K, 2), ``keypoints_visible`` (N, K') to (N, K).

    Args:
        num_keypoints: K, the number of keypoints after the conversion.
        mapping: Pairs (source index, target index). The source may itself be a pair of indices: the target is the point
            halfway between them.
    """

    def transform(self, results: dict) -> dict:
        source = results['keypoints_visible']
        results = super().transform(results)
        visible = np.zeros(results['keypoints'].shape[:2], np.float32)
        seconds = self.source_index2 if self.interpolation else self.source_index
        visible[:, self.target_index] = np.minimum(source[:, self.source_index], source[:, seconds])
        results['keypoints'] = results['keypoints'].astype(np.float32)
        results['keypoints_visible'] = visible
        return results
