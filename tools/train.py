#!/usr/bin/env python3
"""Train a model. The arguments are those of mmpose's tools/train.py, --fast, --compile, --low-memory and
--cache-images.
"""
from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.apis.options import (
    COMPILE_MODES,
    run_config,
    run_parser,
    use_amp,
    use_compile,
    use_fast_training,
    use_image_cache,
    use_low_memory,
)
from mmpose_mspn.apis.run_check import build_runner, check_run
from mmpose_mspn.engine import end_launch
from mmpose_mspn.engine.hooks.checkpoint_fit_hook import check_loaded_weights
from mmpose_mspn.engine.work_dir import check_weight_files, choose_start, set_checkpoints_aside


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='resume from this checkpoint, or without a value from the latest in the work directory')
    parser.add_argument('--restart', action='store_true', help='start a new training in a work directory with '
                        'checkpoints of another one, which are moved into a subfolder')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (bf16 on a CPU)')
    parser.add_argument('--fast', action='store_true', help='train faster with the same results up to rounding: '
                        'channels last, fused optimizer, static graph, freed memory kept for the next step')
    parser.add_argument('--compile', nargs='?', const='default', choices=COMPILE_MODES, metavar='MODE',
                        help='let torch.compile compile the training step, which takes minutes at first: default, '
                        'reduce-overhead or max-autotune')
    parser.add_argument('--low-memory', action='store_true', help='train with less memory in more time: recompute '
                        'activations in the backward pass and return freed memory to the system')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    args = parser.parse_args()
    if args.resume and args.restart:
        parser.error('--resume continues the training that --restart sets aside: give one of them')
    cfg = run_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    check_run(cfg, ('train', 'val'))
    if args.restart:
        set_checkpoints_aside(cfg)
    choose_start(cfg, args.resume)
    check_weight_files(cfg, initializes=True)
    check_loaded_weights(cfg)
    if args.amp:
        use_amp(cfg)
    if args.fast:
        use_fast_training(cfg)
    if args.compile:
        use_compile(cfg, args.compile)
    if args.low_memory:
        use_low_memory(cfg)
    if args.cache_images is not None:
        use_image_cache(cfg, args.cache_images, args.cache_gb)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    build_runner(cfg, 'train').train()
    end_launch()


if __name__ == '__main__':
    run_tool(main)
