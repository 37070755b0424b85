#!/usr/bin/env python3
"""Write the weights of a checkpoint, or the average of the last ones, to a file named by its hash."""
from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.checkpoints.publish import publish


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('source', metavar='IN', help='checkpoint file, or with --average the work directory of a run')
    parser.add_argument('prefix', metavar='OUT_PREFIX', help='the file is OUT_PREFIX-<8 hex digits of its sha256>.pth')
    parser.add_argument('--average', type=int, default=0, metavar='N',
                        help='publish the mean of the last N checkpoints, N >= 2')
    parser.add_argument('--recompute-bn', metavar='CONFIG', help="measure the batch norms' statistics again on the "
                        'training data of this config')
    parser.add_argument('--batches', type=int, default=100, metavar='M',
                        help='number of batches for this (default: %(default)s)')
    parser.add_argument('--config', help='config of the model, which the file will carry (default: that of '
                        '--recompute-bn, or the one that the checkpoint carries)')
    parser.add_argument('--data-root', help="folder of the data, replaces the config's data_root")
    parser.add_argument('--force', action='store_true', help='overwrite an existing file')
    args = parser.parse_args()
    if args.data_root and not args.recompute_bn:
        parser.error('--data-root needs --recompute-bn: without it no data are read')
    config = None
    if args.recompute_bn:
        config = load_config(args.recompute_bn, data_root=args.data_root)
    print(publish(args.source, args.prefix, args.average, config, args.batches, args.force,
                  load_config(args.config) if args.config else None))


if __name__ == '__main__':
    run_tool(main)
