#!/usr/bin/env python3
"""Export a trained model to an ONNX file from which mspn_runtime.py predicts without torch, mmcv and mmpose."""
from pathlib import Path

from mmpose_mspn.apis.command_line import KeyValues, ToolParser, run_tool
from mmpose_mspn.apis.export import export_checkpoint
from mmpose_mspn.deploy.export import INPUTS, PRECISIONS


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', help='config of the model, or alone the name of published weights')
    parser.add_argument('checkpoint', nargs='?', help='weights of the model: a file, a URL or the name of published '
                        'weights')
    parser.add_argument('--out', required=True, metavar='FILE', help='the .onnx file')
    parser.add_argument('--input', choices=INPUTS, default='crops',
                        help='what the graph takes: crops, or an image and boxes (default: %(default)s)')
    parser.add_argument('--precision', choices=PRECISIONS, default='fp32', help='default: %(default)s')
    parser.add_argument('--calibration', nargs='+', metavar='IMAGES',
                        help='16 pictures or more, or their folder, each of one person, whose activations give the '
                        "ranges of int8 (default: people of the config's training data)")
    parser.add_argument('--no-flip', action='store_true', help='leave out the flip test, which halves the time')
    parser.add_argument('--heatmaps', action='store_true', help='add the heatmaps as a third output')
    parser.add_argument('--stages', type=int, metavar='N', help='export the first N stages alone')
    parser.add_argument('--data-root', help="folder of the data, replaces the config's data_root")
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, help='key=value pairs to merge into the config')
    args = parser.parse_args()
    options = {name: value for name, value in vars(args).items() if name not in ('out', 'no_flip')}
    check = export_checkpoint(out=args.out, flip=not args.no_flip, **options)
    size = Path(args.out).stat().st_size / 1e6
    print(f'{args.out}: {size:.1f} MB, {args.precision}; {check["people"]} people, {check["keypoints"]} keypoints: '
          f'{check["largest_px"]:.2g} px at most from PyTorch, median {check["median_px"]:.2g} px; '
          + (f'{check["undecided"]} more, of which rounding decides; ' if check['undecided'] else '') +
          f'{check["close"]:.1%} of {check["confident"]} confident ones within 1 px of the '
          'crop. mspn_runtime.py lies beside it')


if __name__ == '__main__':
    run_tool(main)
