#!/usr/bin/env python3
"""Submissions to COCO test-dev and the MPII test set: list the people to test on, check the files to submit."""
import argparse

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.data_check.problems import EXAMPLES, Report
from mmpose_mspn.datasets.mpii_release import write_test_people
from mmpose_mspn.evaluation.coco_submission import check_coco_submission
from mmpose_mspn.evaluation.mpii_submission import check_mpii_submission


def main() -> int:
    args = parse_args()
    report = Report()
    if args.command == 'mpii-people':
        print(f'{args.out}: {write_test_people(args.release, args.out)} people')
    elif args.command == 'check-coco':
        without = report.collect(check_coco_submission(args.result, args.images))
        print(f'{len(without)} images without a result' + (f', such as {without[:EXAMPLES]}' if without else ''))
        print(report)
    else:
        print(f'{report.collect(check_mpii_submission(args.result, args.release))} people in the test set')
        print(report)
    return int(bool(report))


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    release = dict(help="MPII's annotations, mpii_human_pose_v1_u12_1.mat")
    people = commands.add_parser('mpii-people', help='write the annotation file of the MPII test set')
    people.add_argument('release', **release)
    people.add_argument('out', help='JSON file to write')
    coco = commands.add_parser('check-coco', help='check the .keypoints.json that CocoMetric(format_only=True) wrote')
    coco.add_argument('result', help='the file')
    coco.add_argument('images', help='image_info_test-dev2017.json')
    mpii = commands.add_parser('check-mpii', help='check a pred_keypoints_mpii.mat')
    mpii.add_argument('result', help='the file')
    mpii.add_argument('release', **release)
    return parser.parse_args()


if __name__ == '__main__':
    run_tool(main)
