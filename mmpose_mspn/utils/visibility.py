"""COCO's codes of a keypoint's visibility, the only home of these numbers."""

NOT_LABELED = 0
OCCLUDED = 1
VISIBLE = 2
CODES = (NOT_LABELED, OCCLUDED, VISIBLE)
