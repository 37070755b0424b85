#!/usr/bin/env python3
"""Predict people's keypoints in an image, a folder of images or a video, as drawings and as JSON."""
import argparse
import sys

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.drawing import KEYPOINT_THRESHOLD
from mmpose_mspn.apis.inference import infer
from mmpose_mspn.deploy.accelerate import DTYPES


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(
        description=__doc__, epilog='Without boxes and a detector, the whole image is one box.')
    parser.add_argument('source', help='image, folder of images or video')
    # Not nargs='?': argparse would take options between the source and the config for the end of the files.
    if any(argument.split('=')[0] == '--model' for argument in sys.argv[1:]):
        parser.set_defaults(config=None, checkpoint=None)
    else:
        parser.add_argument('config', help='config of the pose estimator')
        parser.add_argument('checkpoint', help='weights of the pose estimator: a file, a URL, or the name of published '
                            'weights')
    parser.add_argument('--model', metavar='NAME|FILE',
                        help='in place of CONFIG and CHECKPOINT: the name of published weights, such as 4xmspn50, '
                        'downloaded once; an exported .onnx file; or a checkpoint that carries its config')
    parser.add_argument('--out', required=True, metavar='DIR', dest='out_dir',
                        help='folder for the drawings and predictions.json')
    parser.add_argument('--boxes', metavar='FILE', help='person boxes: COCO annotations, or a list of detections')
    parser.add_argument('--ann-file', metavar='FILE',
                        help='COCO annotations that map the image_id of --boxes to file names')
    parser.add_argument('--category', metavar='NAME',
                        help='name or id of the category of --boxes to use (default: that of the config, which is '
                        'person unless it names another, or the only one)')
    parser.add_argument('--detector', metavar='NAME',
                        help="find the people with one of mmpose's default detectors, such as human (needs mmdet)")
    parser.add_argument('--det-config', metavar='FILE', help='config of a person detector of mmdet')
    parser.add_argument('--det-checkpoint', metavar='FILE', help='weights of the detector')
    parser.add_argument('--bbox-thr', type=float, default=0.3, metavar='SCORE',
                        help='lowest score of a box that is used, 0 to 1 (default: %(default)s)')
    parser.add_argument('--kpt-thr', type=float, default=KEYPOINT_THRESHOLD, metavar='SCORE',
                        help='lowest score of a keypoint that is drawn; 0.5 is no response, 1.5 a full peak of the '
                        'heatmap (default: %(default)s)')
    parser.add_argument('--fast', nargs='?', const='float32', choices=DTYPES, metavar='DTYPE',
                        help='predict with an accelerated copy of the model: with the same results (float32, the '
                        'default), or faster with differences of fractions of a pixel (bfloat16, float16)')
    parser.add_argument('--batch-size', type=int, metavar='N',
                        help='number of crops, of any images, that pass the network together, and of images that pass '
                        'the detector together; it saves time on a GPU (default: those of one image)')
    parser.add_argument('--resume', action='store_true', help='continue where an unfinished run stopped')
    parser.add_argument('--shard', metavar='I/N',
                        help='predict only the I-th of N parts of the images; tools/merge_predictions.py merges them')
    parser.add_argument('--report', action='store_true',
                        help='write report/index.html as well: a page with the people of the lowest scores and the '
                        'heatmaps of every stage')
    parser.add_argument('--device', help='device, such as cpu or cuda:1 (default: cuda:0 if there is a GPU, else cpu)')
    return parser.parse_args()


def main() -> None:
    """Predict."""
    args = parse_args()
    counts = infer(**vars(args))
    print(f'{counts["instances"]} people in {counts["images"]} images; {counts["skipped"]} images skipped that cannot '
          f'be decoded, {counts["skipped_boxes"]} boxes of zero size or outside of the image, '
          f'{counts["other_files"]} other files; results in {args.out_dir}')


if __name__ == '__main__':
    run_tool(main)
