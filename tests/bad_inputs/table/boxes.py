"""Boxes of people: files for tests and for tools/infer.py."""
import json
from itertools import chain
from typing import Callable, Optional, Sequence

from tests.bad_inputs.case import Case, Outcome, Place, Rows, check_data, infer, test
from tests.bad_inputs.table.edits import BOXES, INF, NAN, TRAIN, VAL, Edit, drop, instead, put, text

WITH_FILE = f'test_dataloader = dict(dataset=dict(bbox_file={BOXES!r}))'
GIVEN = '{here}/boxes.json'
BOX = dict(file_name='000000000001.jpg', bbox=[10., 10., 80., 120.], score=0.9, category_id=1)


def tested(given: str, change: Edit, says: Sequence[str], tools: Sequence[str] = ('test', 'check_data'),
           code: int = 1) -> Rows:
    """A file of detections that a config tests on."""
    def prepare(place: Place) -> None:
        place.edit(BOXES, change)
        place.write_config(WITH_FILE)

    commands = dict(test=test(), check_data=check_data())
    return [Case(given, [commands[tool]], says, code, prepare, error='DataError') for tool in tools]


def inferred(given: str, content: object, says: Sequence[str], *options: str, code: int = 1, fast: bool = False,
             prepare: Optional[Callable[[Place], None]] = None, right: Optional[Callable] = None) -> Case:
    """A file of boxes that tools/infer.py draws in."""
    def write(place: Place) -> None:
        if prepare:
            prepare(place)
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        (place.here / 'boxes.json').write_bytes(written)

    source = '{here}/images' if prepare is _two_folders else '{data}/val2017'
    return Case(given, [infer('--boxes', GIVEN, *options, source=source)], says, code, write, right, fast,
                error='UserError')


def changed(**fields: object) -> list:
    return [dict(BOX, **fields)]


def _as_corners(content: list) -> None:
    for entry in content:
        entry['bbox'] = [100., 100., 310., 250.]


def _two_folders(place: Place) -> None:
    """``images/1.jpg``, whose name another folder's image has too."""
    (place.here / 'images').mkdir()
    source = next((place.files.people / 'val2017').glob('*.jpg'))
    (place.here / 'images' / '1.jpg').write_bytes(source.read_bytes())


def _people(count: int) -> Callable[[Place, Outcome], str]:
    def right(place: Place, outcome: Outcome) -> str:
        images = json.loads((place.out / 'predictions.json').read_text())['images']
        found = sum(len(image['instances']) for image in images)
        return '' if found == count else f'{found} people, not {count}'

    return right


CATALOG = dict(images=[dict(id=1, file_name='000000000001.jpg')], annotations=[])
NAMED_TWICE = dict(CATALOG, images=[dict(id=1, file_name='000000000001.jpg'), dict(id=1, file_name='000000000002.jpg')],
                   annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1., 1., 9., 9.])])
ROBOTS = dict(CATALOG, categories=[dict(id=7, name='robot'), dict(id=8, name='arm')],
              annotations=[dict(id=1, image_id=1, category_id=7, bbox=[10., 10., 80., 120.])])

BOX_CASES: Rows = [
    *chain(
        tested('a detection of NaN', put('0.bbox.0', NAN), ['bbox']),
        tested('a detection of infinite width', put('0.bbox.2', INF), ['bbox']),
        tested('a detection of 1e10 px', put('0.bbox', [0., 0., 1e10, 1e10]), ['bbox', '10000000000']),
        tested('a detection of three numbers', put('0.bbox', [1., 2., 3.]), ['bbox']),
        tested('a detection without score', drop('0.score'), ['score']),
        tested('a detection with a NaN score', put('0.score', NAN), ['score']),
        tested('a detection with a score as a string', put('0.score', '0.9'), ['score']),
        tested('a detection in an image that the annotations do not have', put('0.image_id', 777), ['777']),
        tested('a detection without image_id', drop('0.image_id'), ['image_id']),
        tested('detections of another category only',
               lambda content: [entry.update(category_id=3) for entry in content] and None, ['categor']),
        tested('no detections', instead([]), ['AP_H_56']),
        tested('detections in an object', instead({}), ['AP_H_56']),
        tested('a detection that is null', put('0', None), ['0']),
        tested('a detection that is a list', put('0', [1, 2, 3, 4]), ['0']),
        tested('a detection whose box is an object', put('0.bbox', {}), ['bbox']),
        tested('a detection whose box is null', put('0.bbox', None), ['bbox']),
        tested('a detection whose image id is a string', put('0.image_id', '1'), ["'1'"]),
        tested('a detection whose image id is a fraction', put('0.image_id', 1.5), ['1.5']),
        tested('a detection with an infinite score', put('0.score', INF), ['score']),
        tested('a detection without a box', drop('0.bbox'), ['bbox']),
        tested('a detection without a category', drop('0.category_id'), ['category_id']),
        tested('detections as two corners', _as_corners, ['AP_H_56']),
        tested('an annotation file as detections', instead(dict(images=[], annotations=[])), ['AP_H_56']),
    ),
    Case('a file of detections that ends in the middle', [test()], ['AP_H_56'],
         prepare=lambda place: (text(BOXES, b'[{"image_id": 1')(place), place.write_config(WITH_FILE))),
    Case('a file of detections that does not exist', [test()], ['nowhere.json'],
         prepare=lambda place: place.write_config('test_dataloader = dict(dataset=dict(bbox_file="nowhere.json"))')),
    inferred('a box of NaN', changed(bbox=[NAN, 1., 2., 3.]), ['boxes.json', 'entry 0'], fast=True),
    inferred('an infinite box', changed(bbox=[0., 0., INF, 3.]), ['boxes.json', 'entry 0']),
    inferred('a box of three numbers', changed(bbox=[1., 2., 3.]), ['boxes.json', 'entry 0']),
    inferred('a box of strings', changed(bbox=['1', '2', '3', '4']), ['boxes.json', 'entry 0']),
    inferred('a box that is null', changed(bbox=None), ['boxes.json', 'entry 0']),
    inferred('a box of 1e10 px', changed(bbox=[0., 0., 1e10, 1e10]), ['boxes.json', 'entry 0', '10000000000']),
    inferred('a box of 1e30 px', changed(bbox=[0., 0., 1e30, 1e30]), ['boxes.json', 'entry 0']),
    inferred('a box 1e9 px outside of the image', changed(bbox=[1e9, 0., 20., 20.]), ['boxes.json', 'entry 0']),
    inferred('a box of zero size, which is skipped', changed(bbox=[5., 5., 0., 0.]), ['1 boxes of zero size'], code=0,
             right=_people(0)),
    inferred('a box of negative size, which is skipped', changed(bbox=[5., 5., -9., -9.]), ['1 boxes of zero size'],
             code=0, right=_people(0)),
    inferred('a score of NaN', changed(score=NAN), ['boxes.json', 'score']),
    inferred('a score as a string', changed(score='high'), ['boxes.json', 'score']),
    inferred('no box at all, so nobody', [], ['0 people'], code=0, right=_people(0)),
    inferred('an entry that is null', [None], ['boxes.json']),
    inferred('an entry without an image', [dict(bbox=[1., 1., 9., 9.])], ['entry 0', 'image_id']),
    inferred('image ids without names', [dict(image_id=1, bbox=[1., 1., 9., 9.])], ['--ann-file']),
    inferred('an image id that is a list', [dict(image_id=[1], bbox=[1., 1., 9., 9.])], ['entry 0', 'image_id']),
    inferred('a category id that is a list', changed(category_id=[1]), ['entry 0', 'category_id']),
    inferred('an image that is not there', changed(file_name='9.jpg'), ['9.jpg']),
    inferred('boxes of b/1.jpg for a/1.jpg', changed(file_name='b/1.jpg'), ['b/1.jpg'], prepare=_two_folders),
    inferred('the id of an image twice', NAMED_TWICE, ['id 1 twice']),
    inferred('annotations that are null', dict(CATALOG, annotations=None), ['boxes.json', 'annotations']),
    inferred('images that are null', dict(CATALOG, images=None, annotations=[dict(BOX, image_id=1)]), ['boxes.json']),
    inferred('boxes of robots and arms, but no person', ROBOTS, ['robot', '--category'], fast=True),
    inferred('a category that there is not', changed(), ["'persn'", '--category'], '--category', 'persn'),
    inferred('an object that is not a COCO file', dict(a=1), ['boxes.json', 'images and annotations']),
    inferred('a number', 7, ['boxes.json']),
    inferred('a file of no bytes', b'', ['boxes.json']),
    inferred('a binary file', bytes(range(256)), ['boxes.json']),
    inferred('--ann-file beside an annotation file', ROBOTS, ['ann_file'], '--ann-file', GIVEN),
    Case('a file that does not exist', [infer('--boxes', 'nowhere.json')], ['boxes nowhere.json']),
    Case('a folder in place of the file', [infer('--boxes', '{data}')], ['boxes', 'people']),
    Case('boxes for a video', [infer('--boxes', '{data}/' + TRAIN, source='{shared}/video.mp4')], ['boxes', 'video']),
    inferred('a box as an object', changed(bbox=dict(x=1, y=2, w=3, h=4)), ['boxes.json', 'entry 0']),
    inferred('a box of five numbers', changed(bbox=[1., 2., 3., 4., 0.9]), ['boxes.json', 'entry 0']),
    inferred('a box of booleans', changed(bbox=[True] * 4), ['boxes.json', 'entry 0']),
    inferred('a score that is null', changed(score=None), ['boxes.json', 'score']),
    inferred('an infinite score', changed(score=INF), ['boxes.json', 'score']),
    inferred('boxes as two corners, of which a warning is given', changed(bbox=[100., 100., 310., 250.]),
             ['x1, y1, x2, y2'], code=0, right=_people(1), fast=True),
    inferred('an image id as a string', [dict(image_id='1', bbox=[1., 1., 9., 9.])], ["'1'", 'does not list'],
             '--ann-file', '{data}/' + VAL),
    inferred('image ids that are numbers and words', [dict(image_id=one, bbox=[1., 1., 9., 9.]) for one in (777, 'a')],
             ["'a', 777", 'does not list'], '--ann-file', '{data}/' + VAL),
    inferred('categories that are numbers and words', [dict(BOX, category_id=one) for one in (7, 'a')],
             ["'person'", '7, a']),
    inferred('an image id as 1.0', [dict(image_id=1.0, bbox=[1., 1., 9., 9.])], ['entry 0', 'image_id'], '--ann-file',
             '{data}/' + VAL),
    inferred('image ids of other images', [dict(image_id=777, bbox=[1., 1., 9., 9.])], ['777'], '--ann-file',
             '{data}/' + VAL),
    inferred('a category id as a string', changed(category_id='1'), ["'person'", '--category']),
    inferred('a file name that is null', changed(file_name=None), ['None']),
    inferred('a file name that is empty', changed(file_name=''), ['images that are not in']),
    inferred('a file name in capitals', changed(file_name='000000000001.JPG'), ['000000000001.JPG']),
    inferred('a file name with its folder, which works', changed(file_name='val2017/000000000001.jpg'), ['1 people'],
             code=0, right=_people(1)),
    inferred('an entry that is a list', [[1., 2., 3., 4.]], ['boxes.json']),
    inferred('a CSV file', b'image,x,y,w,h\n1,2,3,4,5\n', ['boxes.json']),
    inferred('an object per line', b'{"image_id": 1}\n{"image_id": 2}\n', ['boxes.json']),
    inferred('boxes of crowds only', changed(iscrowd=1), ['crowds']),
    inferred('--ann-file that is not a COCO file', [dict(image_id=1, bbox=[1., 1., 9., 9.])], ['ann_file', 'images'],
             '--ann-file', GIVEN),
    inferred('--ann-file that does not exist', [dict(image_id=1, bbox=[1., 1., 9., 9.])], ['ann_file nowhere.json'],
             '--ann-file', 'nowhere.json'),
    Case('the annotations themselves', [infer('--boxes', '{data}/' + VAL)], ['people in 2 images'], 0),
]
