"""A person for the tests of random steps."""
import numpy as np

DRAWS = 4000
ALL = tuple(range(17))


def person(labeled=ALL) -> dict:
    """Keypoint i at (10 i, 20 i) px, of visibility 2 if ``labeled``, in a box of 100 x 300 px."""
    visible = np.zeros((1, 17), np.float32)
    visible[0, list(labeled)] = 2
    joints = np.stack([np.arange(17) * 10, np.arange(17) * 20], -1)[None].astype(np.float32)
    return dict(
        bbox=np.array([[10., 20., 110., 320.]]), keypoints=joints, keypoints_visible=visible,
        bbox_center=np.array([[60., 170.]]), bbox_scale=np.array([[100., 300.]]))
