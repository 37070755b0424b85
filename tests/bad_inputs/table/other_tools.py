"""Options and files of the tools around training: new_dataset, convert_annotations, diagnose, launches, and others."""
from typing import Callable

from mmpose_mspn.utils.files import write_json
from tests.bad_inputs.case import Case, Place, Rows
from tests.bad_inputs.table.edits import BOXES, NAN, TRAIN, VAL, drop, put, write_predictions
from tests.bad_inputs.table.options import BLOCKED, convert, diagnose, new_dataset, row

RUN_EVERY = ('tests.run_every_config', '--only')
LAUNCH = ('dist_train.sh', '{config}')


def source(content: bytes, name: str = 'source.json') -> Callable[[Place], None]:
    return lambda place: (place.here / name).write_bytes(content)


def _used_config(place: Place) -> None:
    (place.out / 'config.py').write_text('')


def _renamed(content: dict) -> None:
    content['categories'][0]['keypoints'][0] = 'beak'


def _corners(content: dict) -> None:
    for person in content['annotations']:
        x, y, width, height = person['bbox']
        person['bbox'] = [x, y, x + width, y + height]


def _predictions(**changes: object) -> Callable[[Place], object]:
    """A results file with one person in the first image, after changes; None removes a field."""
    person = dict(image_id=1000001, category_id=1, keypoints=[1.] * 51, score=0.9)
    entry = {name: value for name, value in {**person, **changes}.items() if value is not None}
    return lambda place: write_json(place.here / 'p.json', [entry])


OTHER_CASES: Rows = [
    # new_dataset.py
    row('annotations that do not exist', ('new_dataset', 'nowhere.json', '{data}', '--out', '{out}'), 'nowhere.json',
        fast=True),
    row('a folder of images that does not exist', ('new_dataset', '{data}/' + TRAIN, 'nowhere', '--out', '{out}'),
        'nowhere'),
    row('annotations that are not JSON', ('new_dataset', '{config}', '{data}', '--out', '{out}'), 'small.py', 'JSON'),
    row('annotations that are a list', ('new_dataset', '{data}/' + BOXES, '{data}', '--out', '{out}'), 'AP_H_56'),
    row('a category that does not exist', new_dataset('--category', 'persn'), "persn"),
    row('--val-share of 2', new_dataset('--val-share', '2'), 'val-share', '2'),
    row('--val-share of NaN', new_dataset('--val-share', 'nan'), 'val-share', 'nan'),
    row('--pairs of a keypoint that does not exist', new_dataset('--pairs', 'nose=noze'), 'noze'),
    row('--pairs without an equal sign', new_dataset('--pairs', 'nose'), 'nose'),
    row('--sigmas of 0', new_dataset('--sigmas', 'nose=0'), 'nose', '0'),
    row('--sigmas that are not numbers', new_dataset('--sigmas', 'nose=a'), 'nose'),
    row('--init-from that does not exist', new_dataset('--init-from', 'nowhere.pth'), 'nowhere.pth'),
    row('--init-from a text file', new_dataset('--init-from', '{config}'), 'small.py'),
    row('--map without --init-from', new_dataset('--map', 'a=b'), '--map', '--init-from'),
    row('a folder with a config', new_dataset(), 'config.py', '--force', prepare=_used_config),
    row('a folder in /proc', ('new_dataset', '{data}/' + TRAIN, '{data}/train2017', '--out', BLOCKED), 'nowhere'),
    row('a NaN coordinate', new_dataset(), '10', prepare=lambda place: place.edit(
        TRAIN, put('annotations.0.keypoints.0', NAN))),
    row('categories without keypoints', new_dataset(), 'keypoints', prepare=lambda place: place.edit(
        TRAIN, drop('categories.0.keypoints'))),
    # convert_annotations.py
    row('a source that does not exist', convert(), 'source.json'),
    row('a source of no bytes', convert(), 'source.json', prepare=source(b'')),
    row('a source of another format', convert(), 'source.json', prepare=source(b'{"a": 1}')),
    row('XML that ends in the middle', ('convert_annotations', '{here}/a.xml', '{out}/c.json'), 'a.xml',
        prepare=source(b'<annotations><image', 'a.xml')),
    row('an empty folder', ('convert_annotations', '{here}/labelme', '{out}/c.json'), 'labelme',
        prepare=lambda place: (place.here / 'labelme').mkdir()),
    row('a target that exists', ('convert_annotations', '{config}', '{config}'), 'small.py', '--force'),
    row('a format that does not exist', convert('--to', 'yolo'), 'yolo', code=2),
    # diagnose.py
    row('nothing to explain', diagnose(), '--predictions'),
    row('--predictions that do not exist', diagnose('--predictions', 'nowhere.json'), 'nowhere.json'),
    row('--predictions that are not JSON', diagnose('--predictions', '{config}'), 'small.py', 'JSON'),
    row('--predictions that are annotations', diagnose('--predictions', '{data}/' + VAL), 'keypoints_val2017'),
    row('--predictions without keypoints', diagnose('--predictions', '{data}/' + BOXES), 'AP_H_56'),
    row('--people of 0', diagnose('--predictions', '{data}/' + BOXES, '--people', '0'), 'people', '0'),
    row('--compare with another file', diagnose('--predictions', '{data}/' + BOXES, '--compare', '{data}/' + VAL),
        'keypoints_val2017'),
    # The repository's own
    row('--root of another folder', ('make_model_table', '--root', '{out}'), 'published.yml'),
    row('a config that there is not', (*RUN_EVERY, 'td-hm_5xmspn50'), 'td-hm_5xmspn50', "'td-hm_4xmspn50'"),
    row('the script without a config', ('dist_train.sh', ), 'tools/dist_train.sh CONFIG', code=2),
    # More of the same
    row('--val that is the file to train on', new_dataset('--val', '{data}/' + TRAIN), '--val', 'train on'),
    row('--val with images of the training', new_dataset('--val', '{here}/val.json'), '4 images', 'val.json',
        prepare=lambda place: (place.here / 'val.json').write_bytes((place.files.people / TRAIN).read_bytes())),
    row('--val of other keypoints', new_dataset('--val', '{data}/' + VAL, '--val-images', '{data}/val2017'),
        'other keypoints', prepare=lambda place: place.edit(VAL, _renamed)),
    row('--val-images without --val', new_dataset('--val-images', '{data}/val2017'), '--val-images'),
    row('--val-share of 0', new_dataset('--val-share', '0'), 'val-share', '0'),
    row('--val-share of a word', new_dataset('--val-share', 'half'), '--val-share', "'half'", code=2),
    row('a network that does not exist', new_dataset('--network', 'huge'), "'huge'", code=2),
    row('a pair of a keypoint with itself', new_dataset('--pairs', 'nose=nose'), 'nose'),
    row('--sigmas of NaN', new_dataset('--sigmas', 'nan'), 'sigmas'),
    row('--sigmas of infinity', new_dataset('--sigmas', 'nose=inf'), 'sigmas', 'inf'),
    row('three --sigmas for 17 keypoints', new_dataset('--sigmas', '0.1', '0.2', '0.3'), 'sigmas', '3', '17'),
    row('--init-from a folder', new_dataset('--init-from', '{data}'), 'people'),
    row('--map of a keypoint that does not exist', new_dataset('--init-from', '{checkpoint}', '--map', 'noze=nose'),
        'noze'),
    row('--source-names of another number', new_dataset('--init-from', '{checkpoint}', '--source-names', 'a', 'b'),
        '17 names', 'got 2'),
    row('images that are a file', ('new_dataset', '{data}/' + TRAIN, '{config}', '--out', '{out}'), 'small.py'),
    row('the folder of other images', ('new_dataset', '{data}/' + TRAIN, '{here}', '--out', '{out}'), '.jpg'),
    row('boxes as two corners', new_dataset(), 'xyxy', prepare=lambda place: place.edit(TRAIN, _corners)),
    row('a threshold of NaN', convert('--threshold', 'nan'), 'threshold', 'nan',
        prepare=lambda place: write_predictions(place, 'source.json')),
    row('a source that is a list', convert(), 'source.json', prepare=source(b'[1, 2]')),
    row('a source that is null', convert(), 'source.json', prepare=source(b'null')),
    row('a target in /proc', ('convert_annotations', '{here}/source.json', f'{BLOCKED}/a.json'), 'source.json',
        prepare=source(b'{"a": 1}')),
    row('--people that is a word', diagnose('--predictions', '{data}/' + BOXES, '--people', 'many'), "'many'", code=2),
    row('--compare that does not exist', diagnose('--predictions', '{data}/' + BOXES, '--compare', 'nowhere.json'),
        'nowhere.json'),
    row('--device that does not exist', ('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out',
                                         '{out}', '--device', 'gpu'), 'device', "'gpu'"),
    row('--out that is a file', ('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out', '{config}'),
        'small.py'),
    row('--out in /proc', ('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out', BLOCKED),
        'nowhere'),
    row('--data-root that does not exist', ('diagnose', '{config}', '{checkpoint}', '--data-root', 'nowhere', '--out',
                                            '{out}'), 'nowhere'),
    row('a mistyped key', diagnose('--cfg-options', 'modle.head=1'), 'modle', "'model'"),
    row('a key without a value', ('export', '{config}', '{checkpoint}', '--out', '{out}/a.onnx', '--cfg-options', 'a'),
        'a', code=2),
    row('--predictions of other images', diagnose('--predictions', '{here}/p.json'), 'p.json', '777',
        prepare=_predictions(image_id=777)),
    row('--predictions of NaN', diagnose('--predictions', '{here}/p.json'), 'p.json', 'finite',
        prepare=_predictions(keypoints=[NAN] * 51)),
    row('--predictions of 16 keypoints', diagnose('--predictions', '{here}/p.json'), 'p.json', '48',
        prepare=_predictions(keypoints=[1.] * 48)),
    row('results of NaN', ('submission', 'check-coco', '{here}/p.json', '{data}/' + VAL), 'finite',
        prepare=_predictions(keypoints=[NAN] * 51)),
    row('results of 16 keypoints', ('submission', 'check-coco', '{here}/p.json', '{data}/' + VAL), '48',
        prepare=_predictions(keypoints=[1.] * 48)),
    row('results of other images', ('submission', 'check-coco', '{here}/p.json', '{data}/' + VAL), '777',
        prepare=_predictions(image_id=777)),
    row('results without a score', ('submission', 'check-coco', '{here}/p.json', '{data}/' + VAL), 'score',
        prepare=_predictions(score=None)),
    row('a results file that does not exist', ('submission', 'check-coco', 'nowhere.json', '{data}/' + VAL),
        'nowhere.json'),
    row('a text file as MPII results', ('submission', 'check-mpii', '{config}', '{config}'), 'small.py'),
    row('--train that is a word', ('make_synthetic', '{out}/people', '--train', 'many'), "'many'", code=2),
    row('--size of 1e6', ('make_synthetic', '{out}/people', '--size', '1000000', '1000000'), 'width', '1000000'),
    row('a robot joint that does not exist', ('make_synthetic', '{out}/people', '--train', '1', '--val', '1',
                                              '--robots', 'nosse'), 'nosse'),
    row('no processes', (*LAUNCH, '0'), 'number of processes', '0', code=2),
    row('processes as a word', (*LAUNCH, 'two'), 'number of processes', 'two', code=2),
    Case('a port that is none', [(*LAUNCH, '1')], ['PORT'], prepare=None, env=dict(PORT='99999999')),
    Case('a tool that does not exist', [('mmpose_mspn', 'infr')], ['infr', "'infer'"], 2),
    Case('no tool', [('mmpose_mspn', )], ['TOOL'], 2),
]
