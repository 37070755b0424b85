"""Exported models, and predictions in parts: tools/export.py, infer.py --model, --resume and --shard, and merging."""
import json
from typing import Callable

from mmpose_mspn.apis.prediction_files import COMPLETE
from mmpose_mspn.checkpoints import read_checkpoint, save_checkpoint
from tests.bad_inputs.case import Case, Command, Place, Rows, infer
from tests.bad_inputs.table.edits import VAL, many_images
from tests.bad_inputs.table.options import BLOCKED, mistyped, row

FIRST = infer('--shard', '1/2')
MERGE = ('merge_predictions', '{out}')
PART = 'predictions-2-of-2.jsonl'
HEADER = dict(format=1, about={}, keypoint_names=[], skeleton=[])


def export(*arguments: str, out: str = '{out}/model.onnx', config: str = '{config}',
           checkpoint: str = '{checkpoint}') -> Command:
    return ('export', config, checkpoint, '--data-root', '{data}', '--out', out, *arguments)


def model(path: str, *arguments: str, source: str = '{data}/val2017') -> Command:
    return ('infer', source, '--model', path, '--out', '{out}', *arguments)


def written(name: str, content: bytes) -> Callable[[Place], object]:
    return lambda place: (place.here / name).write_bytes(content)


def _weights_alone(place: Place) -> None:
    save_checkpoint(dict(state_dict=read_checkpoint(place.files.checkpoint)['state_dict']), place.here / 'alone.pth')


def _with_nan(place: Place) -> None:
    checkpoint = read_checkpoint(place.files.checkpoint)
    next(value for value in checkpoint['state_dict'].values() if value.is_floating_point()).fill_(float('nan'))
    save_checkpoint(checkpoint, place.here / 'nan.pth')


def part(*lines: object, name: str = PART) -> Callable[[Place], object]:
    """Write a part of a run, by its lines."""
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    return lambda place: (place.out / name).write_text(text)


def _unfinished(place: Place) -> None:
    part(HEADER, COMPLETE, name='predictions-1-of-2.jsonl')(place)
    part(HEADER)(place)


def _without_entry(place: Place) -> None:
    part(HEADER, COMPLETE, name='predictions-1-of-2.jsonl')(place)
    part(HEADER, dict(a=1), COMPLETE)(place)


def merged(given: str, prepare: Callable[[Place], object], *says: str) -> Case:
    return Case(given, [FIRST, MERGE], says, prepare=prepare)


PART_CASES: Rows = [
    # export.py
    *mistyped([export()], '--precison', '--precision'),
    row('no checkpoint', ('export', '{config}', '--out', '{out}/model.onnx'), 'checkpoint', fast=True),
    row('no --out', ('export', '{config}', '{checkpoint}'), '--out', code=2),
    row('a config that does not exist', export(config='nowhere.py'), 'nowhere.py'),
    row('a checkpoint that does not exist', export(checkpoint='nowhere.pth'), 'nowhere.pth'),
    row('a text file as the checkpoint', export(checkpoint='{config}'), 'small.py'),
    row('a checkpoint of another network', export('--cfg-options', 'model.head.out_channels=5'), 'iter_2.pth'),
    row('--out of another kind', export(out='{out}/model.pth'), '.onnx', 'model.pth', fast=True),
    row('--out in a folder that cannot be made', export(out=f'{BLOCKED}/model.onnx'), 'nowhere'),
    row('--stages of 0', export('--stages', '0'), 'stages', '0'),
    row('--stages above those of the network', export('--stages', '9'), 'stages', '9'),
    row('a precision that does not exist', export('--precision', 'int4'), "'int4'", code=2),
    row('an input that does not exist', export('--input', 'picture'), "'picture'", code=2),
    row('--calibration in float32', export('--calibration', '{data}/val2017'), 'calibration', 'int8'),
    row('--calibration that does not exist', export('--precision', 'int8', '--calibration', 'nowhere'), 'nowhere'),
    row('--calibration of two pictures', export('--precision', 'int8', '--calibration', '{data}/val2017'),
        'calibration', '16', 'got 2'),
    row('--calibration of a text file', export('--precision', 'int8', '--calibration', '{config}'), 'small.py'),
    row('--stages of 1.5', export('--stages', '1.5'), "'1.5'", code=2),
    row('--out that is a folder', export(out='{here}/a.onnx'), 'a.onnx',
        prepare=lambda place: (place.here / 'a.onnx').mkdir()),
    row('--calibration of an empty folder', export('--precision', 'int8', '--calibration', '{here}/none'), 'got 0',
        prepare=lambda place: (place.here / 'none').mkdir()),
    row('a mistyped key', export('--cfg-options', 'model.hed.a=1'), "'head'"),
    row('a weight of NaN', export(checkpoint='{here}/nan.pth'), 'nan.pth', 'NaN', prepare=_with_nan),
    # infer.py --model
    row('--model that does not exist', model('nowhere.pth'), 'nowhere.pth', fast=True),
    row('--model and a config', infer('--model', '{checkpoint}'), 'unrecognized', 'small.py', code=2, fast=True),
    row('--model of a text file', model('{config}'), 'small.py'),
    row('--model of weights without a config', model('{here}/alone.pth'), 'alone.pth', 'config',
        prepare=_weights_alone),
    row('--model of a file that is not a model', model('{here}/model.onnx'), 'model.onnx',
        prepare=written('model.onnx', b'no model')),
    row('--model of a file of no bytes', model('{here}/model.onnx'), 'model.onnx', prepare=written('model.onnx', b'')),
    # infer.py --shard and --resume
    row('--shard 0/2', infer('--shard', '0/2'), 'shard', "'0/2'", fast=True),
    row('--shard 3/2', infer('--shard', '3/2'), 'shard', "'3/2'"),
    row('--shard 1/0', infer('--shard', '1/0'), 'shard', "'1/0'"),
    row('--shard of words', infer('--shard', 'first'), 'shard', "'first'"),
    row('--shard of a video', infer('--shard', '1/2', source='{shared}/video.mp4'), 'shard', 'video'),
    row('--resume of a video, which starts again', infer('--resume', source='{shared}/video.mp4'), '8 images', code=0),
    row('--shard of three numbers', infer('--shard', '1/2/3'), 'shard', "'1/2/3'"),
    row('--shard of fractions', infer('--shard', '1.5/2'), 'shard', "'1.5/2'"),
    row('--shard of a negative number', infer('--shard=-1/2'), 'shard', "'-1/2'"),
    *(Case(f'--resume with another {name}', [FIRST, infer('--shard', '1/2', '--resume', *options)],
           ['predictions-1-of-2.jsonl', 'another run', field])
      for name, field, options in (('--kpt-thr', 'kpt_thr', ('--kpt-thr', '0.2')), ('--fast', 'fast', ('--fast', )))),
    Case('--resume with another checkpoint', [
        FIRST, ('infer', '{data}/val2017', '{config}', '{shared}/trained/out/iter_1.pth', '--out', '{out}', '--shard',
                '1/2', '--resume')], ['predictions-1-of-2.jsonl', 'another run', 'checkpoint']),
    Case('--resume with other images of the same names', [
        FIRST, infer('--shard', '1/2', '--resume', source='{data}/train2017')],
        ['predictions-1-of-2.jsonl', 'another run', 'source']),
    Case('a shard with another --kpt-thr beside the first', [FIRST, infer('--shard', '2/2', '--kpt-thr', '0.2')],
         ['predictions-1-of-2.jsonl', 'another run', 'kpt_thr']),
    Case('a second run in a folder with results, of which a warning is given',
         [infer(), infer('--kpt-thr', '0.2', source='{data}/train2017')], ['holds the results of an earlier run'], 0),
    Case('a second run beside one that is at work', [infer(source='{here}/images')],
         ['another process', 'predictions.jsonl'], prepare=many_images,
         beside=(infer(source='{here}/images'), '/3000')),
    Case('--resume with another threshold', [FIRST, infer('--shard', '1/2', '--resume', '--bbox-thr', '0.9')],
         ['predictions-1-of-2.jsonl', 'another run', 'bbox_thr']),
    Case('--resume with other boxes', [FIRST, infer('--shard', '1/2', '--resume', '--boxes', '{data}/' + VAL)],
         ['predictions-1-of-2.jsonl', 'another run', 'boxes']),
    row('--resume of a file of no run', infer('--shard', '2/2', '--resume'), PART, 'another run',
        prepare=part(dict(a=1))),
    # merge_predictions.py
    row('a folder that does not exist', ('merge_predictions', 'nowhere'), 'nowhere', fast=True),
    row('a folder without parts', MERGE, 'no parts', '--shard', fast=True),
    row('no folder', ('merge_predictions', ), 'FOLDER', code=2),
    Case('a part that is missing', [FIRST, MERGE], [PART, 'missing']),
    merged('a part of no bytes', part(), PART, 'run its shard again'),
    merged('a part that is not JSON', lambda place: (place.out / PART).write_bytes(b'\xff\n'), PART),
    Case('a part of another run', [FIRST, (*MERGE, '{here}')], [PART, 'another run'],
         prepare=lambda place: (place.here / PART).write_text(f'{json.dumps(HEADER)}\n{json.dumps(COMPLETE)}\n')),
    merged('a part without names', part(dict(a=1)), PART),
    row('a part that is not complete', MERGE, PART, 'not complete', '--resume', prepare=_unfinished),
    row('an image without an entry', MERGE, PART, 'run its shard again', prepare=_without_entry),
    row('parts that describe no run', MERGE, 'predictions-1-of-1.jsonl', 'run its shard again',
        prepare=part(dict(a=1), COMPLETE, name='predictions-1-of-1.jsonl')),
    Case('parts of two runs', [FIRST, infer('--shard', '1/3'), MERGE], ['2 and 3 shards']),
]
