"""Problems of files are reported with their names when a dataset is loaded."""
import json
from pathlib import Path

import numpy as np
import pytest

from mmpose_mspn.utils.errors import DataError
from tests.test_datasets.coco_files import box, dataset, edited, write_coco


def test_box_files_lie_below_the_data_root(tmp_path):
    write_coco(tmp_path)
    (tmp_path / 'boxes.json').write_text(json.dumps([dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=.5)]))
    made = dataset(tmp_path, bbox_file='boxes.json', test_mode=True)
    np.testing.assert_array_equal(made.get_data_info(0)['bbox'], [[1, 2, 31, 42]])


@pytest.mark.parametrize('name', ('ann_file', 'bbox_file'))
def test_a_missing_file_is_named_with_the_remedy(tmp_path, name):
    write_coco(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'{name} .*nowhere.json does not exist.*data_root'):
        dataset(tmp_path, test_mode=True, **{name: 'nowhere.json'})


def change(root: Path, **fields) -> None:
    """Replace fields of the only annotation; ``None`` removes a field."""
    with edited(root) as content:
        annotation = {**content['annotations'][0], **fields}
        content['annotations'][0] = {name: value for name, value in annotation.items() if value is not None}


@pytest.mark.parametrize('content, message', [
    ('', 'ann_file .*people.json is empty: fetch'),
    ('{"images": [', 'ann_file .*people.json is not JSON'),
    ('[1, 2]', "ann_file .*people.json is not in COCO's format"),
    ('{}', 'people.json holds no person to train on: it needs "images" and people'),
])
def test_annotation_files_with_other_content_are_refused(tmp_path, content, message):
    write_coco(tmp_path)
    (tmp_path / 'people.json').write_text(content)
    with pytest.raises(DataError, match=message):
        dataset(tmp_path)


@pytest.mark.parametrize('fields, reason', [
    (dict(keypoints=None), '1 without keypoints'),
    (dict(keypoints=[0] * 51, num_keypoints=0), '1 without keypoints'),
    (dict(bbox=None), '1 without a box of positive width and height'),
    (dict(bbox=[10, 5, 0, 80]), '1 without a box of positive width and height'),
    (dict(iscrowd=1), '1 marked as crowds'),
])
def test_skipped_people_are_counted(tmp_path, fields, reason, logged):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'].append(dict(content['annotations'][0], id=8))
    change(tmp_path, **fields)
    made = dataset(tmp_path)
    assert [made.get_data_info(number)['id'] for number in range(len(made))] == [8]
    assert logged == [f'{tmp_path}/people.json: 1 people; skipped: {reason}']


def test_a_file_without_usable_people_says_why(tmp_path):
    write_coco(tmp_path, bbox=(10, 5, 60, 0))
    with pytest.raises(DataError, match='holds no person to train on; skipped: 1 without a box of positive width and '
                                         'height: it needs'):
        dataset(tmp_path)


def with_boxes(root: Path, boxes: object):
    (root / 'boxes.json').write_text(json.dumps(boxes))
    return dataset(write_coco(root), bbox_file='boxes.json', test_mode=True)


def test_boxes_in_unknown_images_are_refused(tmp_path):
    with pytest.raises(DataError, match=r'boxes in 2 images that are not in .*people.json, such as \[5, 9\]'):
        with_boxes(tmp_path, [box(), box(image_id=9), box(image_id=5), box(image_id=9)])


def test_boxes_without_a_size_are_counted(tmp_path, logged):
    made = with_boxes(tmp_path, [box(bbox=[1, 2, 0, 40]), box(), box(bbox=[1, 2, 30, -1])])
    assert [made.get_data_info(0)['bbox'].tolist(), len(made)] == [[[1, 2, 31, 42]], 1]
    assert logged == [f'{tmp_path}/boxes.json: 1 people; skipped: 2 without a box of positive width and height']


@pytest.mark.parametrize('boxes, message', [
    (dict(boxes=[]), 'boxes.json must hold a list, got dict'),
    ([], 'boxes.json holds no person to test on'),
])
def test_box_files_with_other_content_are_refused(tmp_path, boxes, message):
    with pytest.raises(DataError, match=message):
        with_boxes(tmp_path, boxes)


def test_other_errors_of_a_pipeline_are_raised_unchanged(tmp_path):
    with pytest.raises(KeyError, match='bbox_scale'):
        dataset(write_coco(tmp_path), pipeline=[dict(type='TopdownAffine', input_size=(8, 8))])[0]


# ---------------------------------------------------------------- contents that are refused, by id

NAN, INF = float('nan'), float('inf')


def with_keypoint(index: int, value: float) -> list:
    values = np.array([[20 + 2 * i, 10 + 4 * i, 2] for i in range(17)], float).ravel()
    values[index] = value
    return values.tolist()


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('fields, message', [
    (dict(keypoints=with_keypoint(6, NAN)), r'annotation 7 of ann_file .*people.json: keypoint 2 at \(nan, 18.0\)'),
    (dict(keypoints=with_keypoint(7, INF)), r'annotation 7 of .*keypoint 2 at \(24.0, inf\)'),
    (dict(keypoints=with_keypoint(8, NAN)), 'annotation 7 of .*keypoint 2 has nan'),
    (dict(keypoints=with_keypoint(6, 1e10)), 'annotation 7 of .*keypoint 2 at .* more than 10 times'),
    (dict(keypoints=[1, 2, '2'] * 17), "annotation 7 of .*keypoint 0 has '2'"),
    (dict(keypoints=[1, 2, 2] * 16), 'annotation 7 of .*keypoints has 48 values, not 51'),
    (dict(keypoints={}), 'annotation 7 of .*keypoints has {} values'),
    (dict(bbox=[10, 5, NAN, 80]), r'annotation 7 of .*bbox \[10, 5, nan, 80\]'),
    (dict(bbox=[10, 5, INF, 80]), 'annotation 7 of .*inf'),
    (dict(bbox=[10, 5, 1e10, 80]), 'annotation 7 of .*bbox .*more than 10 times'),
    (dict(bbox=[-1e10, 5, 60, 80]), 'annotation 7 of .*bbox'),
    (dict(bbox=[10, 5, -60, 80]), r'annotation 7 of .*bbox \[10, 5, -60, 80\]'),
    (dict(bbox=[10, 5, 60]), r'annotation 7 of .*bbox \[10, 5, 60\]'),
    (dict(bbox='10 5 60 80'), 'annotation 7 of .*bbox'),
    (dict(area=NAN), 'annotation 7 of .*area nan'),
    (dict(area=-1), 'annotation 7 of .*area -1'),
    (dict(area=1e10), 'annotation 7 of .*area'),
    (dict(area='4800'), 'annotation 7 of .*area'),
    (dict(iscrowd='no'), 'annotation 7 of .*iscrowd'),
    (dict(num_keypoints='17'), 'annotation 7 of .*num_keypoints'),
    (dict(id='seven'), "annotation 'seven' of .*id 'seven'"),
    (dict(image_id='1'), "annotation 7 of .*image_id '1'.*integers from 0, without quotes"),
    (dict(category_id=None), 'entry 0, annotation of .*no category_id'),
    (dict(category_id=3), r'annotation 7 of .*category_id 3 is not one of \[1\]'),
])
def test_annotations_with_faulty_values_are_refused_by_id(tmp_path, fields, message, test_mode):
    write_coco(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(DataError, match=message) as refused:
        dataset(tmp_path, test_mode=test_mode)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize('fields, message', [
    (dict(width=None), 'entry 0, image of ann_file .*people.json: no width'),
    (dict(height=NAN), 'image 1 of .*height nan'),
    (dict(width=0), 'image 1 of .*width 0'),
    (dict(width=1e10), 'image 1 of .*width 10000000000.0'),
    (dict(id='a'), "image id 'a'"),
    (dict(file_name=None), 'entry 0, image of .*no file_name'),
    (dict(file_name=5), 'image 1 of .*file_name 5'),
])
def test_images_with_faulty_values_are_refused(tmp_path, fields, message):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        image = {**content['images'][0], **fields}
        content['images'][0] = {name: value for name, value in image.items() if value is not None}
    with pytest.raises(DataError, match=message):
        dataset(tmp_path)


@pytest.mark.parametrize('name, message', [('images', '1 occurs 2 times.*duplicate image id'),
                                           ('annotations', '7 occurs 2 times.*duplicate annotation id')])
def test_ids_that_occur_twice_are_refused(tmp_path, name, message):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content[name].append(content[name][0])
    with pytest.raises(DataError, match=message):
        dataset(tmp_path)


def test_fields_that_training_does_not_need_may_be_missing(tmp_path):
    write_coco(tmp_path)
    change(tmp_path, area=None, iscrowd=None, num_keypoints=None)
    with edited(tmp_path) as content:
        del content['categories']
    assert dataset(tmp_path)[0]['data_samples'].gt_instance_labels.keypoints_visible[0, :3].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match='has no categories, which a test needs: add "categories"'):
        dataset(tmp_path, test_mode=True)


def test_annotations_of_unlisted_images_are_counted(tmp_path, logged):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        content['annotations'].append(dict(content['annotations'][0], id=8, image_id=2))
    assert len(dataset(tmp_path)) == 1
    assert logged == [f'{tmp_path}/people.json: 1 people; skipped: 1 in images that the file does not list']


@pytest.mark.parametrize('changes, message', [
    (dict(bbox=[1, 2, NAN, 40]), r'detection 1 of bbox_file .*boxes.json: bbox \[1, 2, nan, 40\]'),
    (dict(bbox=[1, 2, 1e10, 40]), 'detection 1 of .*bbox'),
    (dict(bbox=[1, 2, 30]), 'detection 1 of .*bbox'),
    (dict(score=NAN), 'detection 1 of .*nan.*write a number as score'),
    (dict(score='0.5'), 'detection 1 of .*0.5'),
    (dict(image_id='1'), "detection 1 of .*image_id '1'"),
    (dict(category_id='person'), "detection 1 of .*category_id 'person'"),
])
def test_boxes_with_faulty_values_are_refused_by_index(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        with_boxes(tmp_path, [box(), box(**changes)])


def test_boxes_of_other_categories_are_counted_wherever_they_are(tmp_path, logged):
    assert len(with_boxes(tmp_path, [box(category_id=18, image_id=99), box()])) == 1
    assert logged == [f'{tmp_path}/boxes.json: 1 people; skipped: 1 of another category than 1']


def test_boxes_of_a_category_that_is_not_annotated_are_refused(tmp_path):
    """The evaluation would compare nothing with nothing."""
    write_coco(tmp_path)
    change(tmp_path, category_id=0)
    with edited(tmp_path) as content:
        content['categories'] = [dict(id=0, name='person')]
    (tmp_path / 'boxes.json').write_text(json.dumps([box()]))
    with pytest.raises(DataError, match=r'people of category 1, but the categories of .* are \[0\]'):
        dataset(tmp_path, bbox_file='boxes.json', test_mode=True)


@pytest.mark.parametrize('written', ['boxes.json', 'data/people/boxes.json', './data/people/boxes.json'])
def test_box_files_may_be_written_with_and_without_the_data_root(tmp_path, monkeypatch, written):
    """mmpose's own configs write ``bbox_file`` with the folder."""
    monkeypatch.chdir(tmp_path)
    Path('data').mkdir()
    write_coco(Path('data/people'))
    Path('data/people/boxes.json').write_text(json.dumps([box()]))
    Path('boxes.json').write_text('not this one')
    assert len(dataset('data/people/', bbox_file=written, test_mode=True)) == 1


def test_a_box_file_outside_of_the_data_root_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_coco(Path('people'))
    Path('boxes.json').write_text(json.dumps([box()]))
    with pytest.raises(FileNotFoundError, match='bbox_file people/boxes.json does not exist'):
        dataset('people', bbox_file='boxes.json', test_mode=True)
