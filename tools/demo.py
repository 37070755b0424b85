#!/usr/bin/env python3
"""Train a small 2-stage MSPN on synthetic people, evaluate it on held-out images and draw its predictions."""
import os.path as osp
from pathlib import Path

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.demo import run_demo

CONFIG = (Path(__file__).resolve().parents[1] / 'configs' / 'body_2d_keypoint' / 'topdown_heatmap' / 'coco' /
          'td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py')


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('--config', default=str(CONFIG), help='config file')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for results and pictures')
    args = parser.parse_args()
    results = run_demo(args.config, args.work_dir)
    print(f"COCO AP {results['metrics']['coco/AP']:.3f} on held-out people after {results['seconds']['total']:.0f} s; "
          f"see {osp.join(args.work_dir, 'results.json')} and {osp.join(args.work_dir, 'predictions.png')}")


if __name__ == '__main__':
    run_tool(main)
