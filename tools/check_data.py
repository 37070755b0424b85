#!/usr/bin/env python3
"""Check the files of a dataset: images, annotations, detector boxes. Exit code 1 if there are problems."""
from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.data_check.configs import check_config
from mmpose_mspn.data_check.files import LAYOUTS, check_folder
from mmpose_mspn.data_check.problems import Report


def main() -> int:
    parser = ToolParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('config', nargs='?', help='config whose datasets are checked')
    for name, layout in LAYOUTS.items():
        what.add_argument(f'--{name}', metavar='DIR', help=f'folder of {layout.title}')
    parser.add_argument('--data-root', help="folder to use in place of the config's data_root")
    parser.add_argument('--decode', action='store_true',
                        help='decode all images, which also finds truncated files but is slow')
    args = parser.parse_args()
    if args.data_root and not args.config:
        parser.error('--data-root requires a config; the other options name the folder themselves')
    report = Report()
    if args.config:
        report.collect(check_config(load_config(args.config, data_root=args.data_root), decode=args.decode))
    for name in LAYOUTS:
        if getattr(args, name):
            report.collect(check_folder(name, getattr(args, name), decode=args.decode))
    print(report)
    return int(bool(report))


if __name__ == '__main__':
    run_tool(main)
