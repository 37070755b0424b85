"""Annotation files: wrong values, missing fields, other formats."""
from itertools import chain
from typing import Callable, Sequence, Union

from tests.bad_inputs.case import Case, Place, Rows, check_data, test, train
from tests.bad_inputs.table.edits import DROPPED, INF, NAN, TRAIN, VAL, Edit, drop, each, instead, put, repeated, text

RUNS = dict(train=(TRAIN, train()), test=(VAL, test()), check_data=(TRAIN, check_data()))
ALL = ('train', 'test', 'check_data')


def rows(given: str, change: Union[Edit, bytes], says: Sequence[str], tools: Sequence[str] = ALL,
         fast: Sequence[str] = (), code: int = 1) -> Rows:
    """One case for each tool: training reads the changed training file, testing the changed validation file."""
    made = []
    for tool in tools:
        file, command = RUNS[tool]
        made.append(Case(given, [command], says, code, _prepare(file, change), fast=tool in fast, error='DataError'))
    return made


def _prepare(file: str, change: Union[Edit, bytes]) -> Callable[[Place], None]:
    if isinstance(change, bytes):
        return text(file, change)
    return lambda place: place.edit(file, change)


def _first(field: str, value: object) -> Edit:
    return put(f'annotations.0.{field}', value)


def _as_corners(content: dict) -> None:
    for person in content['annotations']:
        x, y, width, height = person['bbox']
        person['bbox'] = [x, y, x + width, y + height]


def _as_shares(content: dict) -> None:
    _keypoints_as_shares(content)
    for person in content['annotations']:
        person['bbox'] = [value / 1000 for value in person['bbox']]
        person['area'] = 0.01


def _keypoints_as_shares(content: dict) -> None:
    for person in content['annotations']:
        person['keypoints'] = [value if index % 3 == 2 else min(abs(value) / 1000, 1)
                               for index, value in enumerate(person['keypoints'])]


def _halved_sizes(content: dict) -> None:
    for image in content['images']:
        image['width'], image['height'] = 160, 128


ANNOTATIONS: Rows = list(chain(
    rows('a NaN coordinate', _first('keypoints.0', NAN), ['annotation 10', 'keypoint 0'], fast=ALL),
    rows('an infinite coordinate', _first('keypoints.1', INF), ['annotation 10', 'keypoint 0']),
    rows('NaN in every coordinate', each('annotations.keypoints', [NAN, NAN, 2] * 17), ['annotation 10']),
    rows('a coordinate as a string', _first('keypoints.0', '12'), ['annotation 10', 'keypoint 0']),
    rows('a coordinate that is null', _first('keypoints.0', None), ['annotation 10', 'keypoint 0']),
    rows('a coordinate of 1e10 px', _first('keypoints.0', 1e10), ['annotation 10', '10000000000']),
    rows('a visibility of 3', _first('keypoints.2', 3), ['annotation 10'], ('train', 'check_data')),
    rows('a visibility of NaN', _first('keypoints.2', NAN), ['annotation 10']),
    rows('16 keypoints where 17 are expected', _first('keypoints', [1., 2., 2] * 16), ['annotation 10', '48']),
    rows('keypoints as a list of pairs', _first('keypoints', [[1., 2.]] * 17), ['annotation 10']),
    rows('keypoints that are null', _first('keypoints', None), ['annotation 10', 'keypoints']),
    rows('keypoints as a string', _first('keypoints', 'abc'), ['annotation 10', 'keypoints']),
    rows('an infinite box', _first('bbox', [0., 0., INF, 10.]), ['annotation 10', 'bbox'], fast=('test', )),
    rows('a box of NaN', _first('bbox', [NAN] * 4), ['annotation 10', 'bbox']),
    rows('a box of 1e10 px', _first('bbox', [0., 0., 1e10, 1e10]), ['annotation 10', 'bbox']),
    rows('a box of negative width', _first('bbox', [50., 50., -20., 40.]), ['annotation 10', 'bbox']),
    rows('a box of three numbers', _first('bbox', [1., 2., 3.]), ['annotation 10', 'bbox']),
    rows('a box that is null', _first('bbox', None), ['annotation 10', 'bbox']),
    rows('a NaN area', _first('area', NAN), ['annotation 10', 'area']),
    rows('a negative area', _first('area', -5.), ['annotation 10', 'area']),
    rows('an area of 1e12 px²', _first('area', 1e12), ['annotation 10', 'area']),
    rows('an area as a string', _first('area', '100'), ['annotation 10', 'area']),
    rows('no area', each('annotations.area', DROPPED), ['area'], ('test', )),
    rows('no iscrowd, which counts as 0', each('annotations.iscrowd', DROPPED), ['coco/AP'], ('test', ), code=0),
    rows('iscrowd of "no"', _first('iscrowd', 'no'), ['annotation 10', 'iscrowd']),
    rows('num_keypoints of -1', _first('num_keypoints', -1), ['annotation 10', 'num_keypoints']),
    rows('no categories', drop('categories'), ['categories'], ('test', )),
    rows('categories that are null', put('categories', None), ['categories']),
    rows('a category that is not listed', _first('category_id', 5), ['annotation 10', 'category_id 5']),
    rows('a category id as a string', _first('category_id', '1'), ['annotation', 'category_id']),
    rows('the id of an annotation twice', repeated('annotations'), ['10', 'id of its own']),
    rows('the id of an image twice', repeated('images'), ['id of its own']),
    rows('the id of an annotation as a string', _first('id', 'a10'), ["'a10'"]),
    rows('the id of an image as a string', put('images.0.id', '1'), ["'1'"]),
    rows('an annotation without id', drop('annotations.0.id'), ['id']),
    rows('an annotation without image_id', drop('annotations.0.image_id'), ['image_id']),
    rows('an annotation of an image that does not exist', _first('image_id', 999), ['999'], ('check_data', )),
    rows('an annotation of an image that does not exist, which is left out', _first('image_id', 999),
         ['1 in images that the file does not list'], ('train', 'test'), code=0),
    rows('an image without file_name', drop('images.0.file_name'), ['file_name']),
    rows('an image without a width', drop('images.0.width'), ['width']),
    rows('an image of width 0', put('images.0.width', 0), ['image 1', 'width']),
    rows('an image whose name is null', put('images.0.file_name', None), ['image 1', 'file_name']),
    rows('an annotation that is null', put('annotations.0', None), ['annotation']),
    rows('annotations that are null', put('annotations', None), ['annotations']),
    rows('images that are null', put('images', None), ['images']),
    rows('no annotations', drop('annotations'), ['annotations']),
    rows('no people at all', put('annotations', []), ['no']),
    rows('a list in place of the object', instead([]), ['annotations']),
    rows('a file of no bytes', b'', ['2017.json'], fast=('check_data', )),
    rows('a file that ends in the middle', b'{"images": [{"id": 1', ['2017.json'], fast=('train', )),
    rows('a binary file', bytes(range(256)), ['2017.json']),
    rows('JSON in UTF-16', '{"images": [], "categories": []}'.encode('utf-16'), ['2017.json'],
         ('train', 'check_data')),
    rows('JSON after a byte order mark', '{"images": [], "categories": []}'.encode('utf-8-sig'), ['2017.json'],
         ('train', 'check_data')),
    rows('an object per line', b'{"images": []}\n{"annotations": []}\n', ['2017.json']),
    rows('the id of an annotation as a fraction', _first('id', 10.5), ['10.5']),
    rows('the id of an image as 1.0', put('images.0.id', 1.0), ['1.0']),
    rows('a negative id', _first('id', -10), ['-10']),
    rows('an id that is true', _first('id', True), ['True']),
    rows('an id of 30 digits', _first('id', 10**30), ['id']),
    rows('a visibility of -1', _first('keypoints.2', -1), ['annotation 10'], ('train', 'check_data')),
    rows('a visibility of 0.9, as of a score', _first('keypoints.2', 0.9), ['annotation 10'],
         ('train', 'check_data')),
    rows('a visibility that is true', _first('keypoints.2', True), ['annotation 10']),
    rows('a coordinate that is a list', _first('keypoints.0', [1.]), ['annotation 10', 'keypoint 0']),
    rows('18 keypoints where 17 are expected', _first('keypoints', [1., 2., 2] * 18), ['annotation 10', '54']),
    rows('a keypoint less of one number', _first('keypoints', [1.] * 50), ['annotation 10', '50']),
    rows('keypoints as an object', _first('keypoints', {'nose': [1., 2., 2]}), ['annotation 10', 'keypoints']),
    rows('a box as an object', _first('bbox', dict(x=1, y=2, w=3, h=4)), ['annotation 10', 'bbox']),
    rows('a box of strings', _first('bbox', ['1', '2', '30', '40']), ['annotation 10', 'bbox']),
    rows('a box of five numbers', _first('bbox', [1., 2., 30., 40., 1.]), ['annotation 10', 'bbox']),
    rows('boxes as two corners', _as_corners, ['2017.json'], fast=('train', )),
    rows('coordinates as shares of the image', _as_shares, ['2017.json'], fast=('test', )),
    rows('keypoints as shares of the image, boxes in px', _keypoints_as_shares, ['2017.json']),
    rows('an infinite area', _first('area', INF), ['annotation 10', 'area']),
    rows('an area that is null', _first('area', None), ['annotation 10', 'area']),
    rows('iscrowd of 2', _first('iscrowd', 2), ['annotation 10', 'iscrowd']),
    rows('num_keypoints of NaN', _first('num_keypoints', NAN), ['annotation 10', 'num_keypoints']),
    rows('num_keypoints as a string', _first('num_keypoints', '17'), ['annotation 10', 'num_keypoints']),
    rows('a category without id', drop('categories.0.id'), ['id']),
    rows('categories that are names', put('categories', ['person']), ['category']),
    rows('an image of a negative height', put('images.0.height', -256), ['image 1', 'height']),
    rows('an image whose width is a string', put('images.0.width', '320'), ['image 1', 'width']),
    rows('an image of 1e9 px', put('images.0.width', 10**9), ['image 1', 'width']),
    rows('an image that is annotated with half its size', _halved_sizes, ['px', '160'], ('train', 'test')),
    rows('an image that is annotated with half its size', _halved_sizes, ['160'],
         ('check_data', )),
    rows('an image whose name is empty', put('images.0.file_name', ''), ['image 1', 'file_name']),
    rows('an image whose name is a folder', put('images.0.file_name', '.'), ['image']),
    rows('an image whose name has a zero byte', put('images.0.file_name', 'a\0.jpg'), ['image 1', 'file_name']),
    rows('an image whose name has the folders of Windows', put('images.0.file_name', 'train2017\\000000000001.jpg'),
         ['000000000001.jpg']),
    rows('images as an object by id', put('images', {'1': {}}), ['images']),
    rows('an annotation that is a list', put('annotations.0', [1]), ['annotation']),
    rows('an annotation of an image id that is null', _first('image_id', None), ['image_id']),
))
