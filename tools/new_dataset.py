#!/usr/bin/env python3
"""Write a config that trains on keypoints of your own, from a COCO annotation file."""
import argparse
import shlex
import sys
from pathlib import Path

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.new_dataset import Options, create, summary
from mmpose_mspn.new_dataset.objects import VAL_SHARE
from mmpose_mspn.new_dataset.plan import NETWORKS


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(
        description=__doc__, epilog='docs/own_keypoints.md leads through an example. tools/convert_annotations.py '
        'makes COCO files from those of CVAT, Label Studio and labelme.')
    parser.add_argument('train_file', metavar='TRAIN.json', help='COCO annotations with keypoints')
    parser.add_argument('images', metavar='IMAGES', help='folder of the images, which may lie in sub-folders')
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder for the config, anywhere')
    parser.add_argument('--val', metavar='VAL.json', help='annotations to validate on; otherwise images are held out')
    parser.add_argument('--val-images', metavar='FOLDER', help='folder of the images in --val (default: IMAGES)')
    parser.add_argument('--val-share', type=float, metavar='SHARE',
                        help=f'share of the images that is held out without --val (default: {VAL_SHARE})')
    parser.add_argument('--category', metavar='NAME', help='category to train on, if several have keypoints')
    parser.add_argument('--pairs', nargs='*', metavar='A=B',
                        help='keypoints that a horizontal flip swaps, besides those whose names say left and right; '
                        'without a value: there are no more')
    parser.add_argument('--sigmas', nargs='+', metavar='SIGMA',
                        help='one number for the keypoints that COCO does not have, NAME=NUMBER, or a number for '
                        'every keypoint (default: 0.05 for those that COCO does not have)')
    parser.add_argument('--network', choices=NETWORKS, help='default: by the number of objects and the device')
    parser.add_argument('--init-from', metavar='CHECKPOINT',
                        help='weights to start from, of any keypoints, in the official, mmpose\'s or our layout: a '
                        'file, a URL or the name of published weights')
    parser.add_argument('--map', nargs='+', metavar='KEYPOINT=SOURCE', dest='keypoint_map',
                        help='keypoints that start from one of another name in the checkpoint')
    parser.add_argument('--source-names', nargs='+', metavar='NAME',
                        help='names of the checkpoint\'s keypoints, if it does not hold them and they are neither '
                        'COCO\'s 17 nor MPII\'s 16')
    parser.add_argument('--skip-broken', action='store_true',
                        help='leave out annotations and images that cannot be repaired')
    parser.add_argument('--force', action='store_true', help='overwrite the config of an earlier call')
    return parser.parse_args()


def main() -> None:
    """Write the files."""
    dataset = create(Options(**vars(parse_args())))
    print(summary(dataset))
    print('\nNext:')
    for tool in ('check_data', 'train'):  # beside this one, which may have been called from another folder
        path = Path(sys.argv[0]).with_name(f'{tool}.py')
        print(f'  python {shlex.quote(str(path))} {shlex.quote(str(dataset.config))}')


if __name__ == '__main__':
    run_tool(main)
