#!/usr/bin/env python3
"""Explain a model's AP (MPII: PCKh): errors by kind, groups, stages and worst cases, as one page and as JSON."""
import argparse

from mmpose_mspn.apis.command_line import KeyValues, ToolParser, run_tool
from mmpose_mspn.apis.diagnosis import PEOPLE, diagnose
from mmpose_mspn.diagnosis.errors import RULES


def parse_args() -> argparse.Namespace:
    """The command line's arguments."""
    parser = ToolParser(description=__doc__, epilog='docs/diagnose.md explains the page.')
    parser.add_argument('config', help='config file, whose test data and metric count')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint (a file, a URL or the name of published '
                        'weights): its network predicts, and its stages are shown')
    parser.add_argument('--predictions', metavar='FILE', help="results file of any model in COCO's format, in place of "
                        "the network's own predictions")
    parser.add_argument('--data-root', metavar='FOLDER', help="folder of the data, in place of the config's data_root")
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder of index.html and diagnosis.json')
    parser.add_argument('--compare', nargs='+', default=[], metavar='JSON',
                        help='diagnosis.json of other models on the same data')
    parser.add_argument('--people', type=int, default=PEOPLE, help='cases on the page (default: %(default)s)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: cuda:0 where there is one, else cpu)')
    parser.add_argument('--error-rule', choices=RULES, default=RULES[0], help='whether a keypoint near its own place '
                        "is no inversion or swap, or whichever place is nearest counts, as in Ronchi and Perona's code "
                        '(default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, help='key=value pairs merged into the config')
    return parser.parse_args()


def main() -> None:
    """Diagnose."""
    content = diagnose(**vars(parse_args()))
    counts, figure = content['counts'], content['figure']
    print(f'{figure["name"]} {figure["value"]:.3f}: {counts["matched"]} of {counts["people"]} people found, '
          f'{counts["false"]} false positives')


if __name__ == '__main__':
    run_tool(main)
