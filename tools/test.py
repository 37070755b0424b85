#!/usr/bin/env python3
"""Test a model. The arguments are those of mmpose's tools/test.py, --fast, --stages and --cache-images."""
import os.path as osp

from mmengine.dist import is_main_process
from mmengine.fileio import dump

from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.apis.options import (
    run_config,
    run_parser,
    use_exported_test,
    use_fast_test,
    use_image_cache,
    use_stages,
)
from mmpose_mspn.apis.run_check import build_runner, check_output_file, check_run, evaluators
from mmpose_mspn.checkpoints.published import checkpoint_file
from mmpose_mspn.deploy.accelerate import DTYPES
from mmpose_mspn.engine import end_launch
from mmpose_mspn.engine.hooks.accelerated_test_hook import INT8
from mmpose_mspn.engine.hooks.checkpoint_fit_hook import check_loaded_weights
from mmpose_mspn.engine.work_dir import check_weight_files
from mmpose_mspn.utils.outputs import move_output, write_output


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint: a file, a URL or the name of published weights; or '
                        '.onnx file of tools/export.py; the config of an ensemble names its own')
    parser.add_argument('--out', help='file for the metrics (.json, .yaml or .pkl)')
    parser.add_argument('--dump', help='file for all predictions (.pkl)')
    parser.add_argument('--fast', nargs='?', const='float32', choices=[*DTYPES, INT8], metavar='DTYPE',
                        help='test an accelerated copy of the model, with the same results (float32, the default) or '
                        'differences of fractions of a pixel (bfloat16, float16; int8 with OpenVINO or onnxruntime)')
    parser.add_argument('--stages', type=int, metavar='N', help='predict by the first N stages alone')
    parser.add_argument('--badcase', action='store_true', help='analyze the worst cases with the badcase hook; '
                        'tools/diagnose.py shows more')
    args = parser.parse_args()
    check_output_file('--out', args.out)
    check_output_file('--dump', args.dump, ('.pkl', '.pickle'))
    if args.out and args.dump and osp.abspath(args.out) == osp.abspath(args.dump):
        parser.error(f'--out and --dump both name {args.out}: give each a file of its own')
    cfg = run_config(args)
    if not args.checkpoint and 'members' not in (cfg.get('model') or {}):
        parser.error('the checkpoint is missing: only ensembles are tested without one')
    checkpoint = str(checkpoint_file(args.checkpoint)) if args.checkpoint else None
    exported = checkpoint if checkpoint and checkpoint.endswith('.onnx') else None
    if exported and (args.fast or args.stages is not None):
        parser.error('--fast and --stages are for checkpoints: an exported file has its precision and its stages')
    cfg.load_from, cfg.resume = None if exported else checkpoint, False
    check_run(cfg, ('test', ))
    if args.badcase and cfg.test_dataloader.dataset.get('bbox_file'):
        parser.error('--badcase compares with annotated keypoints, and detector boxes (test_dataloader.dataset.'
                     'bbox_file) have none: tools/diagnose.py finds the worst cases under any boxes')
    if exported:
        use_exported_test(cfg, exported)
    check_weight_files(cfg, initializes=False)
    check_loaded_weights(cfg)
    if args.stages is not None:
        use_stages(cfg, args.stages)
    if args.fast:
        use_fast_test(cfg, args.fast)
    if args.cache_images is not None:
        use_image_cache(cfg, args.cache_images, args.cache_gb, ('test', ))
    if args.dump:
        unfinished = osp.join(osp.dirname(args.dump), f'.{osp.basename(args.dump)}.part.pkl')
        cfg.test_evaluator = [*evaluators(cfg, 'test'), dict(type='DumpResults', out_file_path=unfinished)]
    if args.badcase:
        badcase = cfg.default_hooks.badcase
        by_loss = badcase.get('metric_type', 'loss') == 'loss'
        badcase.setdefault('metric', dict(type='KeypointMSELoss') if by_loss else cfg.test_evaluator)
        badcase.update(enable=True, show=args.show, interval=args.interval)
    metrics = build_runner(cfg, 'test').test()
    writes = is_main_process()  # all processes have the metrics
    end_launch()
    if args.dump and writes:
        move_output(unfinished, args.dump, 'test --dump')
    if args.out and writes:
        content = dump(metrics, file_format=args.out.split('.')[-1])
        write_output(args.out, content if isinstance(content, bytes) else content.encode(), 'test --out')


if __name__ == '__main__':
    run_tool(main)
