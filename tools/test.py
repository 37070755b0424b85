#!/usr/bin/env python3
"""Test a model. The arguments are those of mmpose's tools/test.py, and --fast."""
from mmengine.fileio import dump
from mmengine.runner import Runner

from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.apis.options import check_head_boxes, evaluators, run_config, run_parser, use_fast_test
from mmpose_mspn.apis.run_check import check_output_file, check_run
from mmpose_mspn.deploy.accelerate import DTYPES
from mmpose_mspn.engine import end_launch


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; the config of an ensemble names its own')
    parser.add_argument('--out', help='file for the metrics (.json, .yaml or .pkl)')
    parser.add_argument('--dump', help='file for all predictions (.pkl)')
    parser.add_argument('--fast', nargs='?', const='float32', choices=DTYPES, metavar='DTYPE',
                        help='test an accelerated copy of the model, with the same results (float32, the default) or '
                        'differences of fractions of a pixel (bfloat16, float16)')
    parser.add_argument('--badcase', action='store_true', help='analyze the worst cases with the badcase hook')
    args = parser.parse_args()
    check_output_file('--out', args.out)
    check_output_file('--dump', args.dump, ('.pkl', '.pickle'))
    cfg = run_config(args)
    if not args.checkpoint and 'members' not in (cfg.get('model') or {}):
        parser.error('the checkpoint is missing: only ensembles are tested without one')
    cfg.load_from = args.checkpoint
    check_run(cfg, ('test', ))
    check_head_boxes(cfg, 'test')
    if args.fast:
        use_fast_test(cfg, args.fast)
    if args.dump:
        cfg.test_evaluator = [*evaluators(cfg, 'test'), dict(type='DumpResults', out_file_path=args.dump)]
    if args.badcase:
        badcase = cfg.default_hooks.badcase
        by_loss = badcase.get('metric_type', 'loss') == 'loss'
        badcase.setdefault('metric', dict(type='KeypointMSELoss') if by_loss else cfg.test_evaluator)
        badcase.update(enable=True, show=args.show, interval=args.interval)
    metrics = Runner.from_cfg(cfg).test()
    end_launch()
    if args.out:
        dump(metrics, args.out)


if __name__ == '__main__':
    run_tool(main)
