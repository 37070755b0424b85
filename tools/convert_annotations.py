#!/usr/bin/env python3
"""Convert annotations of CVAT, Label Studio or labelme to COCO keypoints, and predictions back."""
import argparse

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.drawing import KEYPOINT_THRESHOLD
from mmpose_mspn.new_dataset.converters import TARGETS, convert_annotations


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(description=__doc__)
    parser.add_argument('source', help='XML of "CVAT for images 1.1", JSON of Label Studio, a JSON file or a folder of '
                        'labelme, or predictions.json of tools/infer.py')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--to', choices=TARGETS, default='coco',
                        help='coco: annotations; of predictions also coco-results, and cvat: skeletons to upload to a '
                        'task (default: %(default)s)')
    parser.add_argument('--keypoints', nargs='+', metavar='NAME', help='the keypoints in their order (default: that of '
                        'the file)')
    parser.add_argument('--ann-file', metavar='FILE', help='annotations with the ids of the images, for coco-results')
    parser.add_argument('--label', default='object', help='category of predicted objects (default: %(default)s)')
    parser.add_argument('--threshold', type=float, default=KEYPOINT_THRESHOLD, metavar='SCORE',
                        help='lowest score of a predicted keypoint that counts as labeled (default: %(default)s)')
    parser.add_argument('--force', action='store_true', help='overwrite the file')
    return parser.parse_args()


def main() -> None:
    """Convert."""
    args = parse_args()
    converted = convert_annotations(**vars(args))
    print(f'{converted.objects} objects in {converted.images} images of {converted.source} -> {args.out}')


if __name__ == '__main__':
    run_tool(main)
