#!/usr/bin/env python3
"""Write a dataset of synthetic people in the layout of COCO 2017."""
import argparse

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.synthetic_people import TRAIN_IMAGES, VAL_IMAGES, generate


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
    return parser.parse_args()


def main() -> None:
    """Generate the dataset."""
    args = parse_args()
    generate(args.out, args.train, args.val, args.seed, args.workers, tuple(args.size))


if __name__ == '__main__':
    run_tool(main)
