"""Where the repository's own files are."""
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGS = 'configs/body_2d_keypoint/topdown_heatmap/coco'
"""Folder of the configs for COCO below :data:`ROOT`, and below mmpose's own folder as well."""
DEMO = ROOT / CONFIGS / 'td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
"""The config of ``make demo``."""
