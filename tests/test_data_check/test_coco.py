"""Files in COCO's format: each fault that is put into correct data is found, and nothing else."""
import json

import pytest

from mmpose_mspn.data_check.problems import REMEDIES
from tests.test_data_check.files import (
    PERSON,
    change,
    check,
    coco,
    detections,
    whole_body,
    write_and_check,
)


def test_correct_data_passes(tmp_path):
    report = write_and_check(tmp_path, coco())
    assert not report and str(report) == 'no problems found'


FAULTS = [
    ('missing image', change(('images', 0, 'file_name'), 'gone.jpg'), 'gone.jpg'),
    ('wrong image size', change(('images', 0, 'width'), 65), r"(64, 48), annotated (65, 48)"),
    ('duplicate image id', lambda content: content['images'].append(dict(content['images'][0])), '1 occurs 2 times'),
    ('duplicate annotation id', change((*PERSON, 'id'), 20), '20 occurs 2 times'),
    ('annotation of an unknown image', change((*PERSON, 'image_id'), 5), 'annotation 10 of'),
    ('wrong number of keypoints', change((*PERSON, 'keypoints'), [10, 10, 2]), '3 values, not 51'),
    ('visibility out of range', change((*PERSON, 'keypoints', 5), 3), 'keypoint 1 has 3'),
    ('keypoint outside the image', change((*PERSON, 'keypoints', 0), 64.5), 'keypoint 0 at (64.5, 10) in 64 x 48 px'),
    ('keypoint outside the image', change((*PERSON, 'keypoints', 1), -1), 'keypoint 0 at (10, -1)'),
    ('box without a positive size', change((*PERSON, 'bbox'), [5, 5, 0, 30]), '[5, 5, 0, 30]'),
    ('box without a positive size', change((*PERSON, 'bbox'), [5, 5, float('nan'), 30]), 'nan'),
    ('box outside the image', change((*PERSON, 'bbox'), [64, 5, 10, 30]), '[64, 5, 10, 30] in 64 x 48 px'),
    ('box outside the image', change((*PERSON, 'bbox'), [5, -30, 10, 30]), '[5, -30, 10, 30]'),
    ('incomplete entry', lambda content: content['annotations'][0].pop('image_id'), 'no image_id'),
    ('incomplete entry', change(PERSON, None), 'entry 0, annotation of'),
]


@pytest.mark.parametrize('kind, fault, example', FAULTS)
def test_faults_of_coco_files(kind, fault, example, tmp_path):
    content = coco()
    fault(content)
    report = write_and_check(tmp_path, content, detections()[:1])
    assert report.counts == {kind: 1}
    assert example in str(report) and REMEDIES[kind] in str(report)


@pytest.mark.parametrize('kind', ['AicDataset', 'CrowdPoseDataset'])
def test_datasets_of_14_keypoints(kind, tmp_path):
    content = coco()
    for image in content['images']:
        image['crowdIndex'] = .5
    assert write_and_check(tmp_path, content, kind=kind).counts == {'wrong number of keypoints': 2}
    for annotation in content['annotations']:
        del annotation['keypoints'][3 * 14:]
    assert not write_and_check(tmp_path, content, kind=kind)
    content['annotations'][0]['keypoints'][:6] = [10, 10, 3, 64.5, 20, 1]
    report = write_and_check(tmp_path, content, kind=kind)
    assert report.counts == {'visibility out of range': 1, 'keypoint outside the image': 1}
    assert "use mmpose's conversion" in str(report)


@pytest.mark.parametrize('kind, fault, example', [
    (None, lambda content: None, 'no problems found'),
    ('visibility out of range', change((*PERSON, 'face_kpts', 5), -1), 'face_kpts 1 has -1'),
    ('visibility out of range', change((*PERSON, 'foot_kpts', 2), float('nan')), 'foot_kpts 0 has nan'),
    ('visibility out of range', change((*PERSON, 'keypoints', 5), .5), 'keypoint 1 has 0.5'),
    ('keypoint outside the image', change((*PERSON, 'foot_kpts', 1), 48.5), 'foot_kpts 0 at (64, 48.5) in 64 x 48 px'),
    ('keypoint outside the image', change((*PERSON, 'righthand_kpts', slice(60, 63)), [65, 0, 1e-3]),
     'righthand_kpts 20 at (65, 0)'),
    ('wrong number of keypoints', change((*PERSON, 'lefthand_kpts'), [0] * 60),
     'lefthand_kpts has 60 values, not 63'),
    ('incomplete entry', lambda content: content['annotations'][0].pop('face_kpts'), 'no face_kpts'),
    ('incomplete entry', lambda content: content['annotations'][0].pop('segmentation'), 'no segmentation'),
])
def test_whole_body(kind, fault, example, tmp_path):
    content = whole_body()
    fault(content)
    report = write_and_check(tmp_path, content, kind='CocoWholeBodyDataset')
    assert report.counts == ({kind: 1} if kind else {})
    assert example in str(report)


@pytest.mark.parametrize('skipped', [dict(iscrowd=1), dict(num_keypoints=0)])
def test_people_that_training_skips_are_not_checked(skipped, tmp_path):
    content = coco()
    content['annotations'][0].update(skipped, keypoints=[9] * 51, bbox=[0, 0, 0, 0])
    assert not write_and_check(tmp_path, content)


@pytest.mark.parametrize('kind, entry', [
    ('detection in an unknown image', dict(image_id=3)),
    ('detection without a finite score', dict(score=None)),
    ('detection without a finite score', dict(score=float('inf'))),
    ('box without a positive size', dict(bbox=[1, 2, 3, -4])),
])
def test_faults_of_box_files(kind, entry, tmp_path):
    assert write_and_check(tmp_path, coco(), [dict(detections()[0], **entry)]).counts == {kind: 1}


@pytest.mark.parametrize('kind, fault', [
    ('keypoint that is not finite', change((*PERSON, 'keypoints', 0), float('nan'))),
    ('keypoint that is not finite', change((*PERSON, 'keypoints', 9), float('inf'))),  # not labeled
    ('coordinate far outside the image', change((*PERSON, 'keypoints', 0), 1e10)),
    ('coordinate far outside the image', change((*PERSON, 'bbox'), [5, 5, 1e10, 30])),
    ('area out of range', change((*PERSON, 'area'), float('nan'))),
    ('area out of range', change((*PERSON, 'area'), 1e10)),
    ('id that is not an integer', change((*PERSON, 'id'), 'a')),
    ('category that is not listed', change((*PERSON, 'category_id'), 2)),
    ('iscrowd out of range', change((*PERSON, 'iscrowd'), 'no')),
    ('num_keypoints out of range', change((*PERSON, 'num_keypoints'), None)),
    ('image without a positive size', change(('images', 0, 'width'), 0)),
    ('image without a name', change(('images', 0, 'file_name'), 5)),
    ('incomplete entry', lambda content: content.pop('categories')),
    ('unreadable file', change(('annotations', ), {})),
])
def test_values_that_the_datasets_refuse_are_found(kind, fault, tmp_path):
    content = coco()
    fault(content)
    report = write_and_check(tmp_path, content, detections()[:1])
    assert report.counts == {kind: 1}
    assert REMEDIES[kind] in str(report)


def test_boxes_of_other_categories_only_are_reported(tmp_path):
    assert write_and_check(tmp_path, coco(), [dict(detections()[0], category_id=2)]).counts == {
        'detections of other categories only': 1}


def test_a_file_without_people_is_reported(tmp_path):
    content = dict(coco(), annotations=[])
    write_and_check(tmp_path, content)
    report = check(tmp_path)
    assert report.counts == {'file without people': 1}


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-8-sig'])
def test_a_file_in_an_encoding_that_mmpose_does_not_read(encoding, tmp_path):
    (tmp_path / 'people.json').write_bytes(json.dumps(dict(images=[], annotations=[], categories=[])).encode(encoding))
    report = check(tmp_path, file='people.json')
    assert report.counts == {'unreadable file': 1} and f'written in {encoding}, but mmpose reads utf-8' in str(report)


def test_files_that_are_missing_or_not_json(tmp_path):
    (tmp_path / 'truncated.json').write_text('{"images": [')
    (tmp_path / 'list.json').write_text('[]')
    assert check(tmp_path, file='none.json').counts == {'missing file': 1}
    for file in ('truncated.json', 'list.json'):
        report = check(tmp_path, file=file)
        assert report.counts == {'unreadable file': 1} and file in str(report)
