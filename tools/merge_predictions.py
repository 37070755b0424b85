#!/usr/bin/env python3
"""Merge the parts that tools/infer.py --shard has written into one predictions.json."""
from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.prediction_files import PREDICTIONS, merge_parts


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('folders', nargs='+', metavar='FOLDER', help='--out of the shards')
    parser.add_argument('--out', metavar='DIR', help=f'folder for {PREDICTIONS} (default: the first FOLDER)')
    args = parser.parse_args()
    out = args.out or args.folders[0]
    counts = merge_parts(args.folders, out)
    print(f'{counts["parts"]} parts: {counts["instances"]} people in {counts["images"]} images, '
          f'{counts["skipped_boxes"]} boxes skipped; {PREDICTIONS} in {out}')


if __name__ == '__main__':
    run_tool(main)
