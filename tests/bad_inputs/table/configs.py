"""Configs: wrong types and arguments, parts that do not fit, and files that cannot be read."""
from itertools import chain
from typing import Sequence

from tests.bad_inputs.case import Case, Command, Outcome, Place, Rows, check_data, infer, test, train
from tests.bad_inputs.files import DEMO
from tests.bad_inputs.table.edits import BOXES, replace
from tests.places import ROOT

CONFIGS = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco'
ENSEMBLE = str(CONFIGS / 'td-hm_mspn-plus_coco-384x288.py')
OFFICIAL = str(CONFIGS / 'td-hm_2xmspn18_8xb32-96k_coco-256x192.py')
OFFLINE = dict(https_proxy='http://127.0.0.1:9', http_proxy='http://127.0.0.1:9', no_proxy='', TORCH_HOME='hub')
"""Environment in which nothing can be downloaded."""


def rows(given: str, text: str, says: Sequence[str], commands: Sequence[Command] = (train(), ), fast: bool = False,
         code: int = 1, **changes: object) -> Rows:
    """A config that changes the shared one by ``text``."""
    return [Case(given, [command], says, code, lambda place: place.write_config(text), fast=fast, **changes)
            for command in commands]


def whole(given: str, text: str, says: Sequence[str], commands: Sequence[Command] = (train(), )) -> Rows:
    """A config of this text alone."""
    return [Case(given, [command], says, prepare=lambda place: replace(place.here / 'config.py', text.encode()))
            for command in commands]


def added(option: str, value: str, *says: str) -> Rows:
    """An argument of mmpose's part of the same name."""
    return rows(f'{option} of mmpose', f'model = dict({option.split(".")[0]}=dict({option.split(".")[1]}={value}))',
                [option.split('.')[1], *says, 'docs/migrate.md'])


def _with_codec(changes: str) -> str:
    return ('codec = dict(type="mmpose_mspn.CoarseToFineHeatmap", input_size=(96, 128), heatmap_size=(48, 64), '
            'kernel_sizes=(29, 21, 17, 13, 9), blur_kernel_size=5)\n'
            f'model = dict(head=dict(decoder=dict(_delete_=True, **{{**codec, **dict({changes})}})))')


def _stock_types(codec: str) -> str:
    """The shared config with a pipeline of mmpose's own codec."""
    return f'''
codec = {codec}
pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(96, 128)),
            dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(
    backbone=dict(output='final'),
    head=dict(_delete_=True, type='HeatmapHead', in_channels=16, out_channels=17, deconv_out_channels=None,
              loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec))
'''


MSRA = "dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=2)"
SINGLE_HEAD = "dict(_delete_=True, type='HeatmapHead', in_channels=16, out_channels=17, decoder=_base_.codec, " \
              "loss=dict(type='KeypointMSELoss'))"


def _prefixed(place: Place) -> None:
    """The people in ``data/coco2``, and a config whose data_root is ``data/co``."""
    place.write_config('data_root = "data/co"\ntrain_dataloader = dict(dataset=dict(data_root="data/coco2/"))\n'
                       'val_dataloader = dict(dataset=dict(data_root="data/coco2/"))\n')
    (place.here / 'data').mkdir()
    (place.here / 'data/coco2').symlink_to(place.files.people)


def _root_below(place: Place) -> None:
    """The box file written with the data_root, as mmpose's own configs have it."""
    place.write_config(f'''
data_root = 'data/coco/'
test_dataloader = dict(dataset=dict(data_root=data_root, bbox_file='data/coco/{BOXES}'))
''')
    (place.here / 'data').mkdir()
    (place.here / 'data/coco').symlink_to(place.files.people)


def _empty_root(place: Place) -> None:
    place.write_config('''
data_root = ''
names = dict(note='relative words/that are not a path')
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
''')


def _outside(place: Place) -> None:
    text = place.files.config.read_text().splitlines()
    text[0] = f'_base_ = "mmpose_mspn::{DEMO.relative_to(ROOT / "configs")}"'
    (place.here / 'config.py').write_text('\n'.join(text))


def _strings_left(place: Place, outcome: Outcome) -> str:
    written = (place.out / 'config.py').read_text()
    return '' if 'relative words/that are not a path' in written else 'a string that is not a path was replaced'


CONFIG_CASES: Rows = list(chain(
    whole('a syntax error', 'model = dict(', ['config.py', 'SyntaxError'], (train(), infer(), check_data())),
    whole('an error when it is run', 'x = 1 / 0', ['config.py', 'ZeroDivisionError'], (train(), test())),
    whole('a file of no bytes', '', ['config'], (train(), test(), infer(), check_data())),
    whole('a base that does not exist', "_base_ = './nowhere.py'", ['config.py', 'nowhere.py'], (train(), infer())),
    whole('a binary file', '\0\1\2', ['config.py'], (train(), )),
    [Case('a config that does not exist', [('train', str(CONFIGS / 'td-hm_2xmspn50_8xb32-96k_coco-256x129.py'))],
          ['does not exist', "'td-hm_2xmspn50_8xb32-96k_coco-256x192.py'"], fast=True),
     Case('a folder', [('train', str(CONFIGS))], ['coco'], fast=True),
     Case('a config that is a JSON file of other content', [('train', '{data}/' + BOXES)], ['AP_H_56']),
     Case('a base config', [('train', str(ROOT / 'configs/_base_/models/4xmspn50.py'))], ['train_dataloader']),
     Case('an ensemble', [('infer', '{data}/val2017', ENSEMBLE, '{checkpoint}', '--out', '{out}')], ['ensemble'],
          fast=True),
     Case('an ensemble', [('train', ENSEMBLE, '--data-root', '{data}', '--work-dir', '{out}')], ['train']),
     Case('COCO that does not lie in data/coco', [('train', OFFICIAL, '--work-dir', '{out}')], ['data/coco/']),
     Case('ImageNet weights when offline', [('train', OFFICIAL, '--data-root', '{data}', '--work-dir', '{out}')],
          ['resnet18', 'put the file', 'model.backbone.init_cfg=None'], env=OFFLINE),
     Case('a data_root that is the beginning of another folder', [train()], ['coco/AP'], 0, _prefixed),
     Case('a box file with the data_root before it', [('test', '{config}', '{checkpoint}', '--work-dir', '{out}')],
          ['coco/AP'], 0, _root_below),
     Case('data_root="" beside strings that are not paths', [train()], ['coco/AP'], 0, _empty_root, _strings_left)],
    [Case('a config outside of the repository with a base of the package', [train()], ['coco/AP'], 0, _outside)],
    added('backbone.num_units', '4', 'encoder'),
    added('backbone.num_blocks', '[3, 4, 6, 3]', 'encoder'),
    added('backbone.res_top_channels', '64'),
    added('head.out_shape', '(64, 48)', 'heatmap_size'),
    added('head.level_indices', '[0, 1, 2, 3]', 'coarse_to_fine'),
    added('head.use_prm', 'True'),
    rows('MegviiHeatmap in the pipeline', '''
codec = dict(type='MegviiHeatmap', input_size=(96, 128), heatmap_size=(48, 64), kernel_size=11)
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(96, 128)),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]))''', ['MegviiHeatmap']),
    rows('mmpose_mspn.CocoDataset under a codec of mmpose', _stock_types(MSRA), ['MSRAHeatmap', 'CocoDataset'],
         fast=True),
    rows('a codec of other kernels in the head than in the pipeline', _with_codec('kernel_sizes=(15, 11, 9, 7, 5)'),
         ['kernel_sizes', 'decoder'], fast=True),
    rows('a codec of another size in the head', _with_codec('input_size=(192, 256), heatmap_size=(96, 128)'),
         ['input_size', 'decoder'], (train(), test())),
    rows('a codec with an unknown argument', _with_codec('sigma=2'), ['sigma']),
    rows('an even kernel size', _with_codec('kernel_sizes=(16, 11, 9, 7, 5)'), ['kernel_sizes', '16']),
    rows('a head of mmpose\'s codec', "model = dict(head=dict(decoder=dict(_delete_=True, type='MSRAHeatmap', "
         "input_size=(96, 128), heatmap_size=(48, 64), sigma=2)))", ['MSRAHeatmap', 'CoarseToFineHeatmap']),
    rows('16 keypoints in the head, 17 in the data', 'model = dict(head=dict(out_channels=16))',
         ['out_channels', '17'], (train(), test())),
    rows("output='final' under MSPNHead", "model = dict(backbone=dict(output='final'))", ["output='all'"]),
    rows("output='all' under a head of one map", f'model = dict(head={SINGLE_HEAD})', ["output='final'"]),
    rows("a plain ResNet under MSPNHead", "model = dict(backbone=dict(_delete_=True, type='ResNet', depth=18))",
         ['MSPNHead']),
    rows('a head of 3 stages on a backbone of 2', 'model = dict(head=dict(num_stages=3))', ['stages', '3', '2']),
    rows('a head of other channels than the backbone', 'model = dict(head=dict(unit_channels=32))', ['channels']),
    rows('a stage number of 0', 'model = dict(backbone=dict(num_stages=0))', ['num_stages', '0']),
    rows('a stage number as a string', "model = dict(backbone=dict(num_stages='2'))", ['num_stages', "'2'"]),
    rows('unit_channels of -1', 'model = dict(backbone=dict(unit_channels=-1))', ['unit_channels', '-1']),
    rows('unit_channels as a fraction', 'model = dict(backbone=dict(unit_channels=1.5))', ['unit_channels', '1.5']),
    rows('a mistyped class', "model = dict(backbone=dict(type='mmpose_mspn.MSPM'))", ["'mmpose_mspn.MSPN'"], fast=True),
    rows('an encoder that does not exist', "model = dict(backbone=dict(encoder=dict(type='ResNett')))", ['ResNett']),
    rows('an encoder of a depth that does not exist', 'model = dict(backbone=dict(encoder=dict(depth=19)))', ['19']),
    rows('an unknown argument of the loss', 'model = dict(head=dict(loss=dict(ohkm=8)))', ['ohkm', 'ohkm_topk']),
    rows('ohkm_topk of 0', 'model = dict(head=dict(loss=dict(ohkm_topk=0)))', ['ohkm_topk', '0']),
    rows('ohkm_topk above the number of keypoints, which keeps all', 'model = dict(head=dict(loss=dict(ohkm_topk=99)))',
         ['coco/AP'], code=0),
    rows('three unit weights for four units', 'model = dict(head=dict(loss=dict(unit_weights=(1., 1., 1.))))',
         ['unit_weights']),
    rows('a negative unit weight', 'model = dict(head=dict(loss=dict(unit_weights=(1., 1., 1., -1.))))',
         ['unit_weights', '-1']),
    rows('a unit weight of NaN', 'model = dict(head=dict(loss=dict(unit_weights=(1., 1., 1., float("nan")))))',
         ['unit_weights', 'nan']),
    rows('a negative batch size', 'train_dataloader = dict(batch_size=-1)', ['batch_size', '-1'], fast=True),
    rows('a batch size as a string', "train_dataloader = dict(batch_size='2')", ['batch_size', "'2'"]),
    rows('-1 data workers', 'train_dataloader = dict(num_workers=-1)', ['num_workers', '-1']),
    rows('persistent workers without workers', 'train_dataloader = dict(persistent_workers=True)',
         ['persistent_workers', 'num_workers']),
    rows('no iterations', 'train_cfg = dict(max_iters=0)', ['max_iters', '0']),
    rows('negative iterations', 'train_cfg = dict(max_iters=-5)', ['max_iters', '-5']),
    rows('a validation interval of 0', 'train_cfg = dict(val_interval=0)', ['val_interval', '0']),
    rows('a checkpoint interval of 0', 'default_hooks = dict(checkpoint=dict(interval=0))', ['interval', '0']),
    rows('a learning rate of NaN', 'optim_wrapper = dict(optimizer=dict(lr=float("nan")))', ['lr', 'nan']),
    rows('a learning rate as a string', "optim_wrapper = dict(optimizer=dict(lr='1e-3'))", ['lr', '1e-3']),
    rows('a negative learning rate', 'optim_wrapper = dict(optimizer=dict(lr=-1))', ['-1']),
    rows('a learning rate of 1e30', 'optim_wrapper = dict(optimizer=dict(lr=1e30))\n'
         'train_cfg = dict(max_iters=8, val_interval=8)\nparam_scheduler = []', ['the loss is', 'learning rate 1e+30']),
    rows('an optimizer that does not exist', "optim_wrapper = dict(optimizer=dict(type='Adamm'))", ["'Adam'"]),
    rows('no model', 'model = None', ['model']),
    rows('a model that is a list', 'model = []', ['model']),
    rows('no backbone', 'model = dict(backbone=None)', ['backbone']),
    rows('no head', 'model = dict(head=None)', ['head']),
    rows('no train_dataloader', 'train_dataloader = None', ['train_dataloader']),
    rows('no test_dataloader', 'test_dataloader = None', ['test_dataloader'], (test(), infer())),
    rows('no optim_wrapper', 'optim_wrapper = None', ['optim_wrapper']),
    rows('no test_evaluator', 'test_evaluator = None', ['test_evaluator'], (test(), )),
    rows('a dataset that does not exist', "train_dataloader = dict(dataset=dict(type='mmpose_mspn.CocoDatase'))",
         ['mmpose_mspn.CocoDataset']),
    rows('an annotation file that does not exist', 'train_dataloader = dict(dataset=dict(ann_file="nowhere.json"))',
         ['nowhere.json'], (train(), check_data())),
    rows('an annotation file that is a folder', 'train_dataloader = dict(dataset=dict(ann_file="annotations"))',
         ['annotations'], (train(), check_data())),
    rows('a transform that does not exist', "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImag')]))",
         ['LoadImag'], (train(), )),
    rows('an unknown argument of a transform',
         "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', "
         "fix=(0.1, 0.1)), dict(type='PackPoseInputs')]))",
         ['fix', 'fixed']),
    rows('a probability of 2', "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage'), "
         "dict(type='mmpose_mspn.HalfBody', upper_body_ids=(0, 1), prob=2), dict(type='PackPoseInputs')]))",
         ['prob', '2']),
    rows('a pipeline of nothing', 'train_dataloader = dict(dataset=dict(pipeline=[]))', ['pipeline']),
    rows('crops of another size than the codec', "train_dataloader = dict(dataset=dict(pipeline=["
         "dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', fixed=(0.1, 0.1)), "
         "dict(type='TopdownAffine', input_size=(64, 64)), dict(type='PackPoseInputs')]))",
         ['TopdownAffine', 'input_size']),
    rows('a metainfo file that does not exist',
         'train_dataloader = dict(dataset=dict(metainfo=dict(from_file="nowhere.py")))', ['nowhere.py'],
         (train(), check_data())),
    rows('a metainfo without keypoints', 'train_dataloader = dict(dataset=dict(metainfo=dict(dataset_name="x")))',
         ['metainfo'], (train(), check_data())),
    rows('a metric that does not exist', "test_evaluator = dict(type='CocoMetrik')", ["'CocoMetric'"], (test(), )),
    rows('PCKh without head boxes', "test_evaluator = dict(type='MpiiPCKAccuracy')", ['headbox_file'], (test(), )),
    rows('an import that does not exist', 'custom_imports = dict(imports=["nowhere"], allow_failed_imports=False)',
         ['nowhere'], (train(), infer())),
    rows('a hook that does not exist', "custom_hooks = [dict(type='mmpose_mspn.ChannelLastHook')]",
         ['mmpose_mspn.ChannelsLastHook']),
    rows('a scheduler with an unknown argument',
         "param_scheduler = [dict(type='LinearLR', start=0.1, begin=0, end=5, by_epoch=False)]", ['start']),
))
