"""Settings of a config that can be read, but mean something else than the user thinks, or nothing."""
from itertools import chain
from pathlib import Path
from typing import Callable

import mmpose
from mmengine.config import Config
from mmpose.datasets.datasets import CocoDataset

from tests.bad_inputs.case import Case, Place, Rows, check_data, infer, test, train
from tests.bad_inputs.table.checkpoints import NO_SKELETON
from tests.bad_inputs.table.configs import rows
from tests.bad_inputs.table.edits import NAN, put

RANDOM_TEST = '''
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', fixed=(0.1, 0.1)), dict(type='RandomFlip', prob=0.5),
    dict(type='TopdownAffine', input_size=(96, 128)), dict(type='PackPoseInputs')]))
'''
SAME_FILE = "val_dataloader = dict(dataset=dict(ann_file='annotations/person_keypoints_train2017.json', " \
            "data_prefix=dict(img='train2017/')))\n" \
            "val_evaluator = dict(ann_file=None)"


def _with_metainfo(given: str, change: Callable[[dict], object], *says: str) -> Rows:
    """COCO's metainfo after a change."""
    def prepare(place: Place) -> None:
        source = Path(mmpose.__file__).parent / '.mim' / CocoDataset.METAINFO['from_file']
        info = Config.fromfile(source).dataset_info.to_dict()
        change(info)
        (place.here / 'metainfo.py').write_text(f'nan = float("nan")\ndataset_info = {info!r}')
        place.write_config(NO_SKELETON.format(file=str(place.here / 'metainfo.py')))

    return [Case(given, [command], says, prepare=prepare) for command in (train(), test(), check_data())]


def _pipeline(step: str) -> str:
    return f'train_dataloader = dict(dataset=dict(pipeline=[dict(type={step!r})]))'


def _ensemble(given: str, change: str, *says: str, code: int = 1) -> Case:
    """A test of the mean of the shared model and of a member that has a codec with a change."""
    def prepare(place: Place) -> None:
        place.write_config(f'model = dict(head=dict(decoder=dict({change})))', 'member.py')
        member = "dict(config={!r}, checkpoint={!r})".format
        members = ', '.join(member(str(config), str(place.files.checkpoint))
                            for config in (place.files.config, place.here / 'member.py'))
        place.write_config("model = dict(_delete_=True, type='mmpose_mspn.EnsemblePoseEstimator', "
                           f"members=[{members}], decoder=dict(type='mmpose_mspn.CoarseToFineHeatmap', "
                           'input_size=(96, 128), heatmap_size=(48, 64)))')

    return Case(given, [('test', '{config}', '--data-root', '{data}', '--work-dir', '{out}')], says, code, prepare)


SETTING_CASES: Rows = list(chain(
    rows('a flip test of "no", which would count as yes', "model = dict(test_cfg=dict(flip_test='no'))",
         ['flip_test', "'no'"], (test(), train())),
    rows('a flip test of 1', 'model = dict(test_cfg=dict(flip_test=1))', ['flip_test', '1'], (test(), )),
    rows('a validation on the people of the training, of which a warning is given', SAME_FILE,
         ['people that the model was trained on'], code=0),
    rows('a test whose pipeline flips by chance, of which a warning is given', RANDOM_TEST,
         ['by chance (RandomFlip)'], (test(), ), code=0),
    rows('save_best of a metric that there is not', "default_hooks = dict(checkpoint=dict(save_best='coco/APP'))",
         ['save_best', "'coco/AP'"]),
    _with_metainfo('a sigma of 0', lambda info: put('sigmas.3', 0.)(info), 'sigmas', 'left_ear'),
    _with_metainfo('a weight of NaN for a keypoint', lambda info: put('joint_weights.0', NAN)(info), 'joint_weights',
                   'nose'),
    _with_metainfo('16 sigmas for 17 keypoints', lambda info: info['sigmas'].pop(), 'sigmas', '17', '16'),
    _with_metainfo('keypoints that a flip swaps in a circle',
                   lambda info: info['keypoint_info'][1].update(swap='right_ear'), 'left_eye', 'right_ear', 'swap'),
    _with_metainfo('a keypoint that swaps with one that there is not',
                   lambda info: info['keypoint_info'][1].update(swap='right_eyes'), 'right_eyes'),
    _with_metainfo('a skeleton of a keypoint that there is not',
                   lambda info: info['skeleton_info'][0].update(link=('nose', 'beak')), 'beak'),
    rows('a seed of -1', 'randomness = dict(seed=-1)', ['seed', '-1']),
    rows('a seed as a word', "randomness = dict(seed='one')", ['seed', "'one'"]),
    rows('a score mode that does not exist', "test_evaluator = dict(score_mode='bbox_keypont')", ['score_mode'],
         (test(), )),
    rows('an evaluator of other annotations', 'test_evaluator = dict(ann_file="nowhere.json")', ['nowhere.json'],
         (test(), )),
    rows('a batch size of true', 'train_dataloader = dict(batch_size=True)', ['batch_size', 'True']),
    rows('a batch size of 2.0', 'train_dataloader = dict(batch_size=2.0)', ['batch_size', '2.0']),
    rows('an infinite learning rate', 'optim_wrapper = dict(optimizer=dict(lr=float("inf")))', ['lr', 'inf']),
    rows('a learning rate that is null', 'optim_wrapper = dict(optimizer=dict(lr=None))', ['lr']),
    rows('an optimizer of mixed arguments', "optim_wrapper = dict(optimizer=dict(momentum=0.9))", ['momentum']),
    rows('a weight decay of NaN', 'optim_wrapper = dict(optimizer=dict(weight_decay=float("nan")))', ['weight_decay']),
    rows('gradients that are clipped at NaN', 'optim_wrapper = dict(clip_grad=dict(max_norm=float("nan")))',
         ['max_norm']),
    rows('iterations as a string', "train_cfg = dict(max_iters='2')", ['max_iters', "'2'"]),
    rows('iterations and epochs', 'train_cfg = dict(max_epochs=2)', ['max_epochs']),
    rows('heatmaps of another shape than the crops', 'model = dict(head=dict(decoder=dict(heatmap_size=(64, 64))))',
         ['heatmap_size']),
    rows('a heatmap of size 0', 'model = dict(head=dict(decoder=dict(heatmap_size=(0, 64))))', ['heatmap_size', '0']),
    rows('sizes of three numbers', 'model = dict(head=dict(decoder=dict(input_size=(96, 128, 3))))', ['input_size']),
    rows('a blur of an even size', 'model = dict(head=dict(decoder=dict(blur_kernel_size=4)))', ['blur_kernel_size']),
    rows('pixels without a mean', 'model = dict(data_preprocessor=dict(std=None))', ['std']),
    rows('a std of 0', 'model = dict(data_preprocessor=dict(std=[0, 0, 0]))', ['std', '0']),
    rows('a mean of two channels', 'model = dict(data_preprocessor=dict(mean=[1., 2.], std=[1., 2.]))', ['mean']),
    rows('a pipeline without LoadImage', _pipeline('PackPoseInputs'), ['LoadImage']),
    rows('a pipeline without PackPoseInputs', _pipeline('LoadImage'), ['PackPoseInputs']),
    rows('a test pipeline without crops', "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage')]))",
         ['TopdownAffine'], (infer(), )),
    rows('a number in place of the dataset', 'train_dataloader = dict(dataset=dict(_delete_=True, a=1))', ['dataset']),
    rows('a data_prefix that does not exist', "train_dataloader = dict(dataset=dict(data_prefix=dict(img='nowhere/')))",
         ['nowhere/']),
    rows('a data_prefix of another name', "train_dataloader = dict(dataset=dict(data_prefix=dict(images='train2017/', "
         "_delete_=True)))", ['data_prefix']),
    rows('an average of the weights over -1 steps', "custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', "
         "ema_type='ExponentialMovingAverage', momentum=-1)]", ['momentum', '-1']),
    rows('hooks in an object', 'custom_hooks = dict(type="EMAHook")', ['custom_hooks']),
    [_ensemble('an ensemble, which works', '', 'coco/AP', code=0),
     _ensemble('an ensemble of other crops', 'input_size=(192, 192), heatmap_size=(48, 48)', 'member.py',
               'input_size'),
     _ensemble('an ensemble of other codecs', "_delete_=True, type='MSRAHeatmap', input_size=(96, 128), "
               'heatmap_size=(48, 64), sigma=2', 'CoarseToFineHeatmap', 'MSRAHeatmap')],
    [Case('a YAML config of other content', [('train', '{here}/config.yaml')], ['config.yaml'],
          prepare=lambda place: (place.here / 'config.yaml').write_text('a: [1'))],
))
