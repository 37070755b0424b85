"""Options of the tools: mistyped, out of range, contradictory; and wrong files for the other tools."""
from typing import Callable, Optional, Sequence

from scipy.io import savemat

from tests.bad_inputs.case import Case, Command, Place, Rows, check_data, infer, test, train
from tests.bad_inputs.table.edits import BOXES, TRAIN, VAL, drop

BLOCKED = '/proc/nowhere'
"""A folder that nobody can make, root neither."""


def row(given: str, command: Command, *says: str, code: int = 1, prepare: Optional[Callable[[Place], object]] = None,
        fast: bool = False, cwd: Optional[str] = None) -> Case:
    return Case(given, [command], says, code, prepare, fast=fast, cwd=cwd)


def mistyped(commands: Sequence[Command], option: str, meant: str) -> Rows:
    return [row(f'{option} for {meant}', (*command, option), option, f"'{meant}'", code=2, fast=True)
            for command in commands]


def new_dataset(*arguments: str) -> Command:
    return ('new_dataset', '{data}/' + TRAIN, '{data}/train2017', '--out', '{out}', *arguments)


def convert(*arguments: str) -> Command:
    return ('convert_annotations', '{here}/source.json', '{out}/coco.json', *arguments)


def diagnose(*arguments: str) -> Command:
    return ('diagnose', '{config}', '--data-root', '{data}', '--out', '{out}', *arguments)


def _broken_release(place: Place) -> None:
    savemat(str(place.here / 'release.mat'), dict(other=1))


MAKE = ('make_synthetic', '{out}/people')

OPTION_CASES: Rows = [
    *mistyped([train()], '--resum', '--resume'),
    *mistyped([test()], '--fas', '--fast'),
    *mistyped([infer()], '--boxs', '--boxes'),
    *mistyped([check_data()], '--decod', '--decode'),
    *mistyped([new_dataset()], '--val-shar', '--val-share'),
    *mistyped([convert()], '--threshhold', '--threshold'),
    *mistyped([diagnose()], '--peple', '--people'),
    *mistyped([('convert_checkpoint', 'a.pth', 'b.pth')], '--forse', '--force'),
    *mistyped([('publish_model', 'a.pth', 'b')], '--avarage', '--average'),
    *mistyped([('demo', )], '--workdir', '--work-dir'),
    *mistyped([MAKE], '--trian', '--train'),
    *mistyped([('make_model_table', )], '--rot', '--root'),
    *mistyped([('tests.run_every_config', )], '--onyl', '--only'),
    # Keys of --cfg-options
    row('a mistyped key', train('--cfg-options', 'model.backbon.num_stages=1'), "'backbone'", fast=True),
    row('a mistyped key', test('--cfg-options', 'test_dataloader.batch_sise=1'), "'batch_size'", fast=True),
    row('a key of a list', train('--cfg-options', 'custom_hooks.99.type=X'), 'custom_hooks', '99'),
    row('a key below a number', train('--cfg-options', 'train_cfg.max_iters.a=1'), 'train_cfg.max_iters', 'no keys'),
    row('a key without a value', train('--cfg-options', 'train_cfg.max_iters'), 'train_cfg.max_iters', code=2),
    row('a value of another type', train('--cfg-options', 'train_cfg.max_iters=many'), 'max_iters', 'many'),
    # Options of train.py
    row('--auto-scale-lr without a base batch size', train('--auto-scale-lr'), 'base_batch_size',
        prepare=lambda place: place.write_config('auto_scale_lr = dict(_delete_=True)')),
    row('--fast with an optimizer that has no fused form', train('--fast'), '--fast', 'Rprop',
        prepare=lambda place: place.write_config("optim_wrapper = dict(optimizer=dict(_delete_=True, type='Rprop'))")),
    row('--amp with another wrapper', train('--amp'), '--amp', 'ApexOptimWrapper',
        prepare=lambda place: place.write_config("optim_wrapper = dict(type='ApexOptimWrapper')")),
    row('--launcher pytorch without its variables', train('--launcher', 'pytorch'), 'dist_train.sh'),
    row('--launcher slurm without a GPU', train('--launcher', 'slurm'), 'slurm', 'GPU'),
    row('a launcher that does not exist', train('--launcher', 'torch'), "'torch'", code=2),
    row('--interval of 0', train('--show-dir', '{out}/shown', '--interval', '0'), '--interval', '0'),
    row('--work-dir in /proc', ('train', '{config}', '--data-root', '{data}', '--work-dir', BLOCKED), '--work-dir',
        'nowhere', fast=True),
    row('--work-dir that is a file', ('train', '{config}', '--data-root', '{data}', '--work-dir', '{config}'),
        '--work-dir'),
    row('--data-root that does not exist', ('train', '{config}', '--data-root', 'nowhere', '--work-dir', '{out}'),
        'nowhere', fast=True),
    row('--data-root of nothing', ('train', '{config}', '--data-root', '', '--work-dir', '{out}'), '--data-root'),
    row('--resume of a folder', train('--resume', '{data}'), 'people'),
    row('--resume and --restart', train('--resume', '--restart'), '--resume', '--restart', code=2),
    row('a key whose list does not end', train('--cfg-options', 'model.backbone.encoder.strides=[1,2'), 'strides',
        code=2),
    row('a key of a list that is below its end', train('--cfg-options', 'param_scheduler.-1.end=5'), 'param_scheduler'),
    row('a key of a list by name', train('--cfg-options', 'param_scheduler.first.end=5'), 'param_scheduler', 'first'),
    row('a key that ends in a dot', train('--cfg-options', 'train_cfg.=5'), 'train_cfg'),
    row('a key of nothing', train('--cfg-options', '=5'), '--cfg-options', code=2),
    row('a list in place of an object', train('--cfg-options', 'train_cfg=[1,2]'), 'train_cfg'),
    row('a number in place of an object', train('--cfg-options', 'model=3'), 'model'),
    row('--work-dir of nothing', ('train', '{config}', '--data-root', '{data}', '--work-dir', ''), '--work-dir'),
    row('--work-dir that is a link to nothing', train(), '--work-dir',
        prepare=lambda place: (place.out.rmdir(), place.out.symlink_to('/proc/nowhere'))),
    row('--resume of a text file', train('--resume', '{config}'), 'small.py'),
    row('--show-dir that is a file', train('--show-dir', '{config}'), '--show-dir', 'small.py'),
    row('--interval of a word', train('--interval', 'often'), '--interval', "'often'", code=2),
    row('--local-rank that is not a number', train('--local-rank', 'a'), "'a'", code=2),
    # Options of test.py
    row('--show-dir that is a file', test('--show-dir', '{config}'), '--show-dir', 'small.py'),
    row('--out that is the checkpoint', test('--out', '{checkpoint}'), '--out', 'iter_2.pth', '.json'),
    row('--dump in a folder that cannot be made', test('--dump', f'{BLOCKED}/p.pkl'), '--dump', 'nowhere'),
    row('--fast of an exported file', ('test', '{config}', '{here}/a.onnx', '--fast', '--work-dir', '{out}'), '--fast',
        code=2),
    row('an exported file that does not exist', ('test', '{config}', 'nowhere.onnx', '--work-dir', '{out}'),
        'nowhere.onnx'),
    row('--out of a kind that is not written', test('--out', '{out}/m.csv'), '--out', 'm.csv', '.json', fast=True),
    row('--out that is a folder', test('--out', '{data}'), '--out'),
    row('--out in a folder that cannot be made', test('--out', f'{BLOCKED}/m.json'), '--out', 'nowhere'),
    row('--dump of a kind that is not written', test('--dump', '{out}/p.json'), '--dump', '.pkl'),
    row('--stages of 0', test('--stages', '0'), 'stages', '0'),
    row('--stages above those of the network', test('--stages', '9'), 'stages', '9'),
    row('--stages that is not a number', test('--stages', 'two'), '--stages', 'two', code=2),
    row('--fast of a type that does not exist', test('--fast', 'float8'), '--fast', 'float8', code=2),
    row('--badcase with boxes of a detector', test('--badcase'), '--badcase', 'bbox_file', code=2,
        prepare=lambda place: place.write_config(f'test_dataloader = dict(dataset=dict(bbox_file={BOXES!r}))')),
    # Options of infer.py
    row('--bbox-thr of 2', infer('--bbox-thr', '2'), 'bbox_thr', '2', fast=True),
    row('--bbox-thr of NaN', infer('--bbox-thr', 'nan'), 'bbox_thr', 'nan'),
    row('--kpt-thr of -1', infer('--kpt-thr', '-1'), 'kpt_thr', '-1'),
    row('--kpt-thr of NaN', infer('--kpt-thr', 'nan'), 'kpt_thr', 'nan'),
    row('--device that does not exist', infer('--device', 'gpu'), 'device', "'gpu'"),
    row('--device of a GPU that is not there', infer('--device', 'cuda:99'), 'device', 'cuda:99'),
    row('--out that is the folder of the images',
        ('infer', '{data}/val2017', '{config}', '{checkpoint}', '--out', '{data}/val2017'), 'out_dir', 'overwritten'),
    row('--out in /proc', ('infer', '{data}/val2017', '{config}', '{checkpoint}', '--out', BLOCKED), 'out_dir'),
    row('--out that is a file', ('infer', '{data}/val2017', '{config}', '{checkpoint}', '--out', '{config}'),
        'out_dir'),
    row('--boxes and a detector', infer('--boxes', 'a', '--det-config', 'b', '--det-checkpoint', 'c'), 'boxes',
        'det_config'),
    row('--det-config without --det-checkpoint', infer('--det-config', 'b'), 'det_checkpoint'),
    row('--detector that does not exist', infer('--detector', 'humann'), 'humann', 'human'),
    row('--det-config that does not exist', infer('--det-config', 'b.py', '--det-checkpoint', 'c.pth'), 'b.py'),
    row('--ann-file without --boxes', infer('--ann-file', 'a.json'), 'ann_file'),
    row('--category without --boxes', infer('--category', 'person'), 'category'),
    row('--report of a video', infer('--report', source='{shared}/video.mp4'), 'report', 'video'),
    row('--batch-size of 0', infer('--batch-size', '0'), 'batch_size', '0'),
    row('--batch-size of -4', infer('--batch-size', '-4'), 'batch_size', '-4'),
    row('--batch-size of 2.5', infer('--batch-size', '2.5'), '--batch-size', "'2.5'", code=2),
    row('--bbox-thr of -0.1', infer('--bbox-thr', '-0.1'), 'bbox_thr', '-0.1'),
    row('--bbox-thr of 30, as of percents', infer('--bbox-thr', '30'), 'bbox_thr', '30'),
    row('--bbox-thr that is a word', infer('--bbox-thr', 'high'), '--bbox-thr', "'high'", code=2),
    row('--kpt-thr of -inf', infer('--kpt-thr=-inf'), 'kpt_thr', '-inf'),
    row('--device cuda without a GPU', infer('--device', 'cuda'), 'device', "'cuda'"),
    row('--fast of a type that does not exist', infer('--fast', 'float8'), 'fast', 'float8', code=2),
    row('--out that is a link to nothing', infer(), 'out_dir',
        prepare=lambda place: (place.out.rmdir(), place.out.symlink_to('/proc/nowhere'))),
    row('no --out', ('infer', 'a.jpg', '{config}', '{checkpoint}'), '--out', code=2),
    # check_data.py
    row('a config and a folder', check_data('--coco', '{data}'), '--coco', code=2),
    row('a folder that does not exist', ('check_data', '--coco', 'nowhere'), 'nowhere'),
    row('--data-root without a config', ('check_data', '--coco', '{data}', '--data-root', '{data}'), '--data-root',
        code=2),
    row('nothing to check', ('check_data', ), 'required', code=2),
    row('a COCO folder as MPII', ('check_data', '--mpii', '{data}'), 'mpii_train.json'),
    # submission.py
    row('a release that does not exist', ('submission', 'mpii-people', 'nowhere.mat', '{out}/a.json'), 'nowhere.mat'),
    row('a release of other content', ('submission', 'mpii-people', '{here}/release.mat', '{out}/a.json'),
        'release.mat', prepare=_broken_release),
    row('a text file as the release', ('submission', 'mpii-people', '{config}', '{out}/a.json'), 'small.py'),
    row('results that are not JSON', ('submission', 'check-coco', '{config}', '{data}/' + VAL), 'small.py', 'JSON'),
    row('results that are annotations', ('submission', 'check-coco', '{data}/' + VAL, '{data}/' + VAL), 'list'),
    row('detections as results', ('submission', 'check-coco', '{data}/' + BOXES, '{data}/' + VAL), 'keypoints'),
    row('an unknown command', ('submission', 'check-cocoa'), "'check-cocoa'", code=2),
    # make_synthetic.py
    row('--train of -1', (*MAKE, '--train', '-1'), 'train', '-1'),
    row('--size of 0', (*MAKE, '--size', '0', '0'), 'width', '0'),
    row('--seed of -1', (*MAKE, '--seed', '-1'), 'seed', '-1'),
    row('--workers of 0', (*MAKE, '--train', '1', '--val', '1', '--workers', '0'), 'workers', '0'),
    row('a folder of other annotations', ('make_synthetic', '{data}', '--train', '1', '--val', '1'), 'out_dir',
        'annotations', prepare=lambda place: place.edit(TRAIN, drop('info'))),
    row('a folder that cannot be made', ('make_synthetic', BLOCKED, '--train', '1', '--val', '1'), 'nowhere'),
    # demo.py
    row('a config that does not exist', ('demo', '--config', 'nowhere.py'), 'nowhere.py', fast=True),
    row('--work-dir in /proc', ('demo', '--work-dir', BLOCKED), 'nowhere'),
    row('a config without a model', ('demo', '--config', '{config}', '--work-dir', '{out}'), 'model',
        prepare=lambda place: (place.here / 'config.py').write_text('a = 1')),
]
