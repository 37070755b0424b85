"""Where the repository's own files are."""
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOPDOWN = ROOT / 'configs/body_2d_keypoint/topdown_heatmap'
DEMO = TOPDOWN / 'coco/td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
"""The config of ``make demo``: the smallest that the package has."""
