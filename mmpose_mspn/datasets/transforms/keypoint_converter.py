"""From one dataset's keypoints to another's, visibility kept."""
import numpy as np
from mmpose.datasets.transforms import KeypointConverter as MmposeKeypointConverter

from mmpose_mspn.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeypointConverter(MmposeKeypointConverter):
    """mmpose's ``KeypointConverter``, whose visibility goes on as (N, K) in 0/1/2.

    The stock one stacks weights behind it, which the official steps that follow do not read, and multiplies the
    visibilities of a pair, which makes 4 of 2 and 2; here the less visible one counts. A keypoint that the source does
    not have is not labeled: 0.

    Required and modified keys: ``keypoints`` (N, K', 2) to (N, K, 2), ``keypoints_visible`` (N, K') to (N, K).

    Args:
        num_keypoints: K.
        mapping: Pairs (source index, target index); the source may be a pair, whose middle counts.
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
