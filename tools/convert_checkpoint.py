#!/usr/bin/env python3
"""Convert a checkpoint of MSPN, or of RSN with an MSPN head, to another layout. The source layout is recognized."""
from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.checkpoints import LAYOUTS, convert_file


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('source', metavar='IN', help='checkpoint file')
    parser.add_argument('target', metavar='OUT', help='file to write')
    parser.add_argument('--to', choices=LAYOUTS, default='mmpose_mspn', help='layout to write (default: %(default)s)')
    parser.add_argument('--config', help='config of the model that the weights must fill (default: the model that '
                        'the keys imply)')
    parser.add_argument('--force', action='store_true', help='overwrite OUT')
    args = parser.parse_args()
    count = convert_file(args.source, args.target, args.to, args.config, args.force)
    print(f'{args.target}: {count} tensors in the layout of {args.to}')


if __name__ == '__main__':
    run_tool(main)
