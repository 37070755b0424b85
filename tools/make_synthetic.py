#!/usr/bin/env python3
"""Write a dataset of synthetic people in the layout of COCO 2017."""
import argparse
from pathlib import Path

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.synthetic_people import TRAIN_IMAGES, VAL_IMAGES, generate
from mmpose_mspn.synthetic_people.coco import annotation_file
from mmpose_mspn.synthetic_people.robots import check_keypoints, write_robots


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(description=__doc__)
    parser.add_argument('out', help='folder for the dataset, the data_root of configs')
    parser.add_argument('--train', type=int, default=TRAIN_IMAGES, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=VAL_IMAGES, help='validation images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same files (default: %(default)s)')
    parser.add_argument('--workers', type=int, help='number of processes (default: one per CPU)')
    parser.add_argument('--size', type=int, nargs=2, default=(320, 256), metavar=('W', 'H'),
                        help='width and height of the images in pixels (default: 320 256)')
    parser.add_argument('--robots', nargs='+', metavar='[NAME=]KEYPOINT',
                        help='also write robots_train.json and robots_val.json: the people as robots with these of the '
                        '17 keypoints, under names of their own if given, as a labeling tool might leave them')
    return parser.parse_args()


def main() -> None:
    """Generate the dataset."""
    args = parse_args()
    out = Path(args.out)
    keypoints = [item.rpartition('=')[2] for item in args.robots or ()]
    renamed = {item.rpartition('=')[2]: item.rpartition('=')[0] or item for item in args.robots or ()}
    if keypoints:
        check_keypoints(keypoints)
    generate(out, args.train, args.val, args.seed, args.workers, tuple(args.size))
    for split in ('train', 'val') if keypoints else ():
        write_robots(annotation_file(out, f'{split}2017'), out / f'robots_{split}.json', keypoints, renamed=renamed)


if __name__ == '__main__':
    run_tool(main)
