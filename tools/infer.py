"""Find people's keypoints in an image, a folder of images or a video: drawn, and as JSON."""
import argparse

from mmpose_mspn.apis.inference import KEYPOINT_THRESHOLD, infer
from mmpose_mspn.deploy.accelerate import DTYPES


def parse_args() -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Without --boxes and --det-config the whole image counts as one box.')
    parser.add_argument('source', help='image, folder of images or video')
    parser.add_argument('config', help='config of the pose estimator')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--out', required=True, metavar='DIR', dest='out_dir',
                        help='folder of the drawn pictures and of predictions.json')
    parser.add_argument('--boxes', metavar='FILE', help='person boxes: COCO annotations, or a list of detections')
    parser.add_argument('--ann-file', metavar='FILE',
                        help='COCO annotations that say which file an image_id in --boxes is')
    parser.add_argument('--det-config', metavar='FILE', help='config of a person detector of mmdet')
    parser.add_argument('--det-checkpoint', metavar='FILE', help='its weights')
    parser.add_argument('--bbox-thr', type=float, default=0.3, metavar='SCORE',
                        help='leave out boxes that score lower, 0 to 1 (default: %(default)s)')
    parser.add_argument('--kpt-thr', type=float, default=KEYPOINT_THRESHOLD, metavar='SCORE',
                        help='do not draw keypoints that score lower; 0.5 is no evidence, 1.5 a full peak of the '
                        'heatmap (default: %(default)s)')
    parser.add_argument('--fast', nargs='?', const='float32', choices=DTYPES, metavar='DTYPE',
                        help='a copy of the model that predicts the same in less time (float32, the default), or '
                        'fractions of a pixel off in still less (bfloat16, float16)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: cuda:0 where there is one, else cpu)')
    return parser.parse_args()


def main() -> None:
    """Predict; a bad argument ends with its message, not with a traceback."""
    args = parse_args()
    try:
        counts = infer(**vars(args))
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'{counts["instances"]} people in {counts["images"]} images; {counts["skipped"]} images skipped that do not '
          f'decode, {counts["skipped_boxes"]} boxes of zero size, {counts["other_files"]} other files; '
          f'results in {args.out_dir}')


if __name__ == '__main__':
    main()
