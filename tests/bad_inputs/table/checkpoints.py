"""Checkpoints: damaged, planted, of other models and layouts, not finite."""
import pickle
import shutil
import zipfile
from typing import Callable, Dict, Sequence

import numpy as np
import torch

from mmpose_mspn.checkpoints import convert, read_checkpoint
from mmpose_mspn.utils.files import read_json
from tests.bad_inputs.case import Case, Command, Outcome, Place, Rows, infer, test, train
from tests.planted import plant

COMMANDS: Dict[str, Command] = dict(
    test=test(), infer=infer(), resume=train('--resume', '{checkpoint}'),
    load_from=train('--cfg-options', 'load_from={checkpoint}'),
    convert=('convert_checkpoint', '{checkpoint}', '{out}/converted.pth', '--to', 'official'),
    publish=('publish_model', '{checkpoint}', '{out}/published'),
    diagnose=('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out', '{out}'))
READERS = ('test', 'infer', 'resume', 'load_from', 'convert', 'publish', 'diagnose')
USERS = ('test', 'infer', 'resume', 'diagnose')
"""Tools that need all weights of the model."""


def rows(given: str, prepare: Callable[[Place], object], says: Sequence[str], tools: Sequence[str] = READERS,
         fast: Sequence[str] = ()) -> Rows:
    return [Case(f'{given}{" under --resume" if tool == "resume" else " as load_from" if tool == "load_from" else ""}',
                 [COMMANDS[tool]], says, prepare=prepare, fast=tool in fast) for tool in tools]


def written(content: bytes) -> Callable[[Place], None]:
    return lambda place: (place.here / 'checkpoint.pth').write_bytes(content)


def cut(share: float) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        whole = place.files.checkpoint.read_bytes()
        (place.here / 'checkpoint.pth').write_bytes(whole[:int(len(whole) * share)])

    return prepare


def saved(change: Callable[[dict], object]) -> Callable[[Place], None]:
    """The shared checkpoint after a change, or what the change returns."""
    def prepare(place: Place) -> None:
        checkpoint = read_checkpoint(place.files.checkpoint)
        changed = change(checkpoint)
        torch.save(checkpoint if changed is None else changed, place.here / 'checkpoint.pth')

    return prepare


def _planted(place: Place) -> None:
    plant(place.here / 'checkpoint.pth', read_checkpoint(place.files.checkpoint)['state_dict'])


def _not_finite(value: float) -> Callable[[dict], None]:
    def change(checkpoint: dict) -> None:
        next(weight for weight in checkpoint['state_dict'].values() if weight.is_floating_point()).fill_(value)

    return change


def _without_half(checkpoint: dict) -> None:
    weights = checkpoint['state_dict']
    for key in list(weights)[::2]:
        del weights[key]


def _of_another_model(checkpoint: dict) -> dict:
    return dict(checkpoint, state_dict={f'other.{key}': value for key, value in checkpoint['state_dict'].items()})


def _of_fewer_keypoints(checkpoint: dict) -> None:
    weights = checkpoint['state_dict']
    for key, value in weights.items():
        if key.startswith('head.') and value.ndim and value.shape[0] == 17:
            weights[key] = value[:5].clone()


def _with_strings(checkpoint: dict) -> None:
    checkpoint['state_dict'] = dict.fromkeys(checkpoint['state_dict'], 'no tensor')


def _published(checkpoint: dict) -> dict:
    return dict(meta={}, state_dict=checkpoint['state_dict'])


def _folder(place: Place) -> None:
    (place.here / 'checkpoint.pth').mkdir()


def _other_model_in_the_config(place: Place) -> None:
    place.write_config('model = dict(backbone=dict(encoder=dict(base_channels=16)))')


def _copied_work_dir(place: Place) -> None:
    """A copy of the shared training's folder, whose last_checkpoint still names the original."""
    shutil.copytree(place.files.checkpoint.parent, place.out, dirs_exist_ok=True)
    (place.out / 'iter_2.pth').unlink()
    (place.out / 'last_checkpoint').write_text(str(place.files.checkpoint.with_name('iter_1.pth')))


def _from_the_copy(place: Place, outcome: Outcome) -> str:
    return '' if f'{place.out}/iter_1.pth' in outcome.out + outcome.error else 'it was not resumed from the copy'


def _lost_last(place: Place) -> None:
    shutil.copytree(place.files.checkpoint.parent, place.out, dirs_exist_ok=True)
    (place.out / 'last_checkpoint').write_text('/nowhere/iter_77.pth')


def _started(place: Place) -> None:
    shutil.copytree(place.files.checkpoint.parent, place.out, dirs_exist_ok=True)


def _official(place: Place) -> None:
    weights = convert(read_checkpoint(place.files.checkpoint)['state_dict'], to='official')
    torch.save(dict(model=weights), place.here / 'checkpoint.pth')


ORIGINAL = ('infer', '{data}/val2017', '{config}', '{shared}/trained/out/iter_2.pth', '--out', '{here}/original')


def _same(place: Place, outcome: Outcome, tolerance: float = 1e-3) -> str:
    one, other = (np.array([person['keypoints'] for image in read_json('file', folder / 'predictions.json')['images']
                            for person in image['instances']]) for folder in (place.out, place.here / 'original'))
    return '' if np.allclose(one, other, rtol=0, atol=tolerance) else f'keypoints differ by {abs(one - other).max()}'


NO_SKELETON = '''
train_dataloader = dict(dataset=dict(metainfo=dict(from_file={file!r})))
val_dataloader = dict(dataset=dict(metainfo=dict(from_file={file!r})))
test_dataloader = val_dataloader
'''


def _without_skeleton(place: Place) -> None:
    names = read_checkpoint(place.files.checkpoint)['meta']['dataset_meta']['keypoint_id2name']
    info = dict(dataset_name='none', paper_info={}, keypoint_info={
        number: dict(name=name, id=number, color=[0, 0, 0], type='', swap='') for number, name in names.items()
    }, skeleton_info={}, joint_weights=[1.] * 17, sigmas=[0.05] * 17)
    file = place.here / 'metainfo.py'
    file.write_text(f'dataset_info = {info!r}')
    place.write_config(NO_SKELETON.format(file=str(file)))


def _zipped(place: Place) -> None:
    with zipfile.ZipFile(place.here / 'checkpoint.pth', 'w') as archive:
        archive.writestr('a.txt', 'no checkpoint')


def _near(place: Place, outcome: Outcome) -> str:
    return _same(place, outcome, tolerance=5.)


OTHER_CROPS = '''
codec = dict(_base_.codec, input_size=(192, 256), heatmap_size=(48, 64))
model = dict(head=dict(decoder=codec))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage'), dict(type='mmpose_mspn.WidenBBox', fixed=(0.1, 0.1)),
    dict(type='TopdownAffine', input_size=codec['input_size']), dict(type='PackPoseInputs')]))
'''

CHECKPOINT_CASES: Rows = [
    *rows('a text file', written(b'no checkpoint'), ['checkpoint.pth'], fast=('test', 'infer')),
    *rows('a file of no bytes', written(b''), ['checkpoint.pth'], ('test', 'infer', 'resume', 'convert')),
    *rows('half of a checkpoint', cut(0.5), ['checkpoint.pth', 'incomplete'], fast=('infer', )),
    *rows('a checkpoint without its last bytes', cut(0.999), ['checkpoint.pth', 'incomplete'], ('test', 'infer')),
    *rows('a checkpoint that runs code when it is loaded', _planted, ['checkpoint.pth', 'code'], fast=('convert', )),
    *rows('a folder', _folder, ['checkpoint.pth'], READERS),
    *rows('an empty dict', saved(lambda checkpoint: {}), ['checkpoint.pth']),
    *rows('a list', saved(lambda checkpoint: [1, 2]), ['checkpoint.pth']),
    *rows('a tensor', saved(lambda checkpoint: torch.zeros(3)), ['checkpoint.pth'], ('test', 'infer', 'convert')),
    *rows('strings in place of weights', saved(_with_strings), ['checkpoint.pth']),
    *rows('weights of another model', saved(_of_another_model), ['checkpoint.pth'],
          ('test', 'infer', 'resume', 'load_from', 'convert', 'diagnose'), fast=('test', )),
    *rows('half of the weights', saved(_without_half), ['checkpoint.pth'], USERS),
    *rows('weights of 5 keypoints', saved(_of_fewer_keypoints), ['checkpoint.pth'], USERS, fast=('resume', )),
    *rows('a weight of NaN', saved(_not_finite(float('nan'))), ['checkpoint.pth', 'finite'],
          ('test', 'infer', 'resume', 'load_from', 'diagnose'), fast=('test', 'infer')),
    *rows('a weight of infinity', saved(_not_finite(float('inf'))), ['checkpoint.pth', 'finite'], ('test', 'infer')),
    *rows('the official layout', _official, ['checkpoint.pth'], ('resume', )),
    Case('the official layout, which predicts the same', [ORIGINAL, infer()], ['2 people'], 0, _official, _same),
    *rows('weights without the state of a training', saved(_published), ['checkpoint.pth', 'load_from'], ('resume', )),
    *rows('a config of another model', _other_model_in_the_config, ['iter_2.pth'], (*USERS, 'load_from')[:3]),
    Case('a checkpoint that does not exist', [('test', '{config}', 'nowhere.pth')], ['nowhere.pth'], fast=True),
    Case('a checkpoint that does not exist', [train('--resume', 'nowhere.pth')], ['nowhere.pth']),
    Case('a load_from that does not exist', [train('--cfg-options', 'load_from=nowhere.pth')], ['nowhere.pth']),
    Case('no checkpoint', [('test', '{config}')], ['checkpoint'], 2),
    Case('--resume in an empty work directory with load_from, which starts from its weights',
         [train('--resume', '--cfg-options', 'load_from={checkpoint}')], ['load_from', 'iter_2.pth'], 0),
    Case('--resume in a copied work directory, from the copy', [train('--resume')], ['iter_1.pth'], 0, _copied_work_dir,
         _from_the_copy),
    Case('--resume where the last checkpoint is lost', [train('--resume')], ['iter_77.pth', '--resume FILE'],
         prepare=_lost_last),
    Case('a second training in a work directory', [train()], ['out', '--resume', '--restart'], prepare=_started,
         fast=True),
    Case('metainfo without a skeleton, resumed after its training',
         [train(), train('--resume', '{out}/iter_1.pth')], ['coco/AP'], 0, _without_skeleton),
    Case('a checkpoint of metainfo without a skeleton',
         [train(), ('test', '{config}', '{out}/iter_2.pth', '--data-root', '{data}', '--work-dir', '{out}')],
         ['coco/AP'], 0, _without_skeleton),
    *rows('a weight whose name is a number', saved(lambda one: one['state_dict'].update({1: torch.zeros(1)})),
          ['checkpoint.pth']),
    *rows('no state_dict beside the meta', saved(lambda one: one.pop('state_dict') and None), ['checkpoint.pth'],
          USERS),
    *rows('a zip file of other content', _zipped, ['checkpoint.pth'], ('test', 'infer', 'resume', 'convert')),
    *rows('a pickle of plain values', written(pickle.dumps(dict(a=1))), ['checkpoint.pth'], ('test', 'convert')),
    *rows('a file of zeros', written(bytes(100_000)), ['checkpoint.pth'], ('test', 'infer', 'publish')),
    *rows('a link to nothing', lambda place: (place.here / 'checkpoint.pth').symlink_to('/nowhere.pth'),
          ['checkpoint.pth'], ('test', 'infer', 'resume', 'convert', 'publish')),
    *(Case('crops of another size than those of the training, of which a warning is given', [command], [
        '96 x 128 px', said], 0, lambda place: place.write_config(OTHER_CROPS))
      for command, said in ((test(), '192 x 256'), (infer(), '192 x 256'))),
    Case('weights in half precision, which work', [ORIGINAL, infer()], ['2 people'], 0, saved(
        lambda one: one.update(state_dict={key: value.half() if value.is_floating_point() else value
                                           for key, value in one['state_dict'].items()})), _near),
    Case('weights of DataParallel, which work', [ORIGINAL, infer()], ['2 people'], 0, saved(
        lambda one: dict(state_dict={f'module.{key}': value for key, value in one['state_dict'].items()})), _same),
    Case('an address when offline', [('test', '{config}', 'https://127.0.0.1:9/a.pth', '--data-root', '{data}',
                                      '--work-dir', '{out}')], ['a.pth'], env=dict(TORCH_HOME='hub')),
    Case('a checkpoint as an exported model', [('test', '{config}', '{here}/a.onnx', '--data-root', '{data}',
                                                '--work-dir', '{out}')], ['a.onnx'],
         prepare=lambda place: shutil.copy(place.files.checkpoint, place.here / 'a.onnx')),
    Case('an average of more checkpoints than there are', [('publish_model', '{here}', '{out}/a', '--average', '3')],
         ['average is 3']),
    Case('an average of one', [('publish_model', '{here}', '{out}/a', '--average', '1')], ['average must be']),
    Case('--batches of 0', [('publish_model', '{checkpoint}', '{out}/a', '--batches', '0')], ['batches must be']),
    Case('a target that exists', [('convert_checkpoint', '{checkpoint}', '{checkpoint}')], ['exists', '--force']),
    Case('a layout that there is not', [('convert_checkpoint', '{checkpoint}', 'a.pth', '--to', 'offical')],
         ["'offical'", 'official'], 2),
    Case('a config of another model', [('convert_checkpoint', '{checkpoint}', '{out}/a.pth', '--config', '{config}')],
         ['iter_2.pth'], prepare=_other_model_in_the_config),
]
