#!/usr/bin/env python3
"""Check the files of a data set: images, annotations, detector boxes. Exit code 1 if there are problems."""
import argparse
import sys
from functools import partial

import mmpose_mspn  # noqa: F401  mends the stack
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.datasets.check import Report
from mmpose_mspn.datasets.check_people import check_coco_folder, check_config, check_mpii_folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('config', nargs='?', help='config, whose data sets are checked')
    what.add_argument('--coco', metavar='DIR', help='folder of COCO 2017')
    what.add_argument('--mpii', metavar='DIR', help='folder of MPII')
    parser.add_argument('--data-root', help="takes the place of the config's data_root")
    parser.add_argument('--decode', action='store_true',
                        help='decode all images, which also finds files that end early; slow')
    args = parser.parse_args()
    if args.data_root and not args.config:
        parser.error('--data-root goes with a config; --coco and --mpii name the folder themselves')
    if args.config:
        check = partial(check_config, load_config(args.config, data_root=args.data_root))
    elif args.coco:
        check = partial(check_coco_folder, args.coco)
    else:
        check = partial(check_mpii_folder, args.mpii)
    report = Report()
    check(report, decode=args.decode)
    print(report)
    return int(bool(report))


if __name__ == '__main__':
    sys.exit(main())
