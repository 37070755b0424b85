"""COCO's codes for the visibility of a keypoint. These numbers are defined nowhere else."""

NOT_LABELED = 0
OCCLUDED = 1
VISIBLE = 2
CODES = (NOT_LABELED, OCCLUDED, VISIBLE)
