"""What the metainfo of a dataset must hold beyond what mmpose reads from it."""
from typing import Mapping, Optional

import numpy as np


def wrong_metainfo(meta: Mapping) -> Optional[str]:
    """Say what is wrong with a metainfo that mmpose has parsed.

    Args:
        meta: Result of mmpose's ``parse_pose_metainfo``.

    Returns:
        A sentence; ``None`` if nothing is wrong.
    """
    names, swaps = meta['keypoint_id2name'], meta['flip_indices']
    for index, other in enumerate(swaps):
        if swaps[other] != index:
            return (f'keypoint {names[index]!r} swaps with {names[other]!r}, but that one with '
                    f'{names[swaps[other]]!r}: a flip must swap both with each other')
    for field, lowest in (('sigmas', 'above 0'), ('dataset_keypoint_weights', '0 or more')):
        values = np.asarray(meta[field], float)
        right = np.isfinite(values) & ((values > 0) if field == 'sigmas' else (values >= 0))
        called = 'joint_weights' if field == 'dataset_keypoint_weights' else field
        if values.shape != (len(names), ):
            return f'{called} must be {len(names)} numbers, one for each keypoint, got {values.size}'
        if not right.all():
            index = int(np.argmin(right))
            return f'{called} must be finite and {lowest}, got {values[index]} for {names[index]!r}'
    return None
