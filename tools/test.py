#!/usr/bin/env python3
"""Test a model: mmpose's tools/test.py, for this package's configs."""
from mmengine.fileio import dump
from mmengine.runner import Runner

from mmpose_mspn.apis.options import check_head_boxes, evaluators, run_config, run_parser, use_fast_test
from mmpose_mspn.deploy.accelerate import DTYPES
from mmpose_mspn.engine import end_launch


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; an ensemble names its own in the config')
    parser.add_argument('--out', help='file (.json, .yaml or .pkl) for the metrics')
    parser.add_argument('--dump', help='file (.pkl) for all predictions')
    parser.add_argument('--fast', nargs='?', const='float32', choices=DTYPES, metavar='DTYPE',
                        help='test a copy with folded norms and packed convolutions, which predicts the same (float32, '
                        'the default) or fractions of a pixel off (bfloat16, float16)')
    parser.add_argument('--badcase', action='store_true', help='analyze the worst cases by badcase of the config')
    args = parser.parse_args()
    cfg = run_config(args)
    if not args.checkpoint and 'members' not in cfg.model:
        parser.error('the checkpoint is missing: only an ensemble goes without')
    cfg.load_from = args.checkpoint
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
    main()
