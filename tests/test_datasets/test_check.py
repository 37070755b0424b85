"""Data checks: each fault that is put into sound data is found, and nothing else."""
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from scipy.io import savemat

from mmpose_mspn.datasets.check import REMEDIES, Report
from mmpose_mspn.datasets.check_people import check_coco, check_coco_folder, check_config, check_mpii, check_mpii_folder
from mmpose_mspn.datasets.synthetic import generate

TOOL = Path(__file__).parents[2] / 'tools' / 'check_data.py'


def write_image(path, size=(64, 48)):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), noise)


def coco():
    """Two images of 64 × 48 px with a person each."""
    images = [dict(id=number, file_name=f'{number}.jpg', width=64, height=48) for number in (1, 2)]
    people = [
        dict(id=10 * number, image_id=number, category_id=1, iscrowd=0, num_keypoints=2, bbox=[5., 5., 20., 30.],
             keypoints=[10, 10, 2, 12, 20, 1] + [0] * 45) for number in (1, 2)
    ]
    return dict(images=images, annotations=people, categories=[dict(id=1, name='person')])


def detections():
    return [dict(image_id=1, category_id=1, bbox=[1., 2., 30., 40.], score=.9),
            dict(image_id=77, category_id=3, bbox=[0, 0, 0, 0], score=.1)]


def found(folder, content, boxes=None, **options):
    for number in (1, 2):
        write_image(folder / f'{number}.jpg')
    (folder / 'coco.json').write_text(json.dumps(content))
    (folder / 'boxes.json').write_text(json.dumps(detections() if boxes is None else boxes))
    report = Report()
    check_coco(str(folder / 'coco.json'), str(folder), report, str(folder / 'boxes.json'), progress=False, **options)
    return report


def test_sound_data_is_passed(tmp_path):
    report = found(tmp_path, coco())
    assert not report and str(report) == 'no problems found'


def change(path, value):
    """A fault: ``value`` at a path into the content."""
    def apply(content):
        *parents, last = path
        for name in parents:
            content = content[name]
        content[last] = value
    return apply


PERSON = ('annotations', 0)
FAULTS = [
    ('missing image', change(('images', 0, 'file_name'), 'gone.jpg'), 'gone.jpg'),
    ('image of another size', change(('images', 0, 'width'), 65), r"(64, 48), annotated (65, 48)"),
    ('duplicate image id', lambda content: content['images'].append(dict(content['images'][0])), '1 stands 2 times'),
    ('duplicate annotation id', change((*PERSON, 'id'), 20), '20 stands 2 times'),
    ('annotation of an unknown image', change((*PERSON, 'image_id'), 5), 'annotation 10 of'),
    ('keypoints of another number', change((*PERSON, 'keypoints'), [10, 10, 2]), '3 values, not 51'),
    ('visibility out of range', change((*PERSON, 'keypoints', 5), 3), 'keypoint 1 has 3'),
    ('keypoint outside the image', change((*PERSON, 'keypoints', 0), 64.5), 'keypoint 0 at (64.5, 10) in 64 x 48 px'),
    ('keypoint outside the image', change((*PERSON, 'keypoints', 1), -1), 'keypoint 0 at (10, -1)'),
    ('box without a size', change((*PERSON, 'bbox'), [5, 5, 0, 30]), '[5, 5, 0, 30]'),
    ('box without a size', change((*PERSON, 'bbox'), [5, 5, float('nan'), 30]), 'nan'),
    ('box outside the image', change((*PERSON, 'bbox'), [64, 5, 10, 30]), '[64, 5, 10, 30] in 64 x 48 px'),
    ('box outside the image', change((*PERSON, 'bbox'), [5, -30, 10, 30]), '[5, -30, 10, 30]'),
    ('incomplete entry', lambda content: content['annotations'][0].pop('image_id'), 'no image_id'),
]


@pytest.mark.parametrize('kind, fault, example', FAULTS)
def test_faults_of_coco_files(kind, fault, example, tmp_path):
    content = coco()
    fault(content)
    report = found(tmp_path, content, [])
    assert report.counts == {kind: 1}
    assert example in str(report) and REMEDIES[kind] in str(report)


@pytest.mark.parametrize('skipped', [dict(iscrowd=1), dict(num_keypoints=0)])
def test_people_that_training_leaves_out_are_not_checked(skipped, tmp_path):
    content = coco()
    content['annotations'][0].update(skipped, keypoints=[9] * 51, bbox=[0, 0, 0, 0])
    assert not found(tmp_path, content)


@pytest.mark.parametrize('kind, entry', [
    ('detection in an unknown image', dict(image_id=3)),
    ('detection without a finite score', dict(score=None)),
    ('detection without a finite score', dict(score=float('inf'))),
    ('box without a size', dict(bbox=[1, 2, 3, -4])),
])
def test_faults_of_box_files(kind, entry, tmp_path):
    assert found(tmp_path, coco(), [dict(detections()[0], **entry)]).counts == {kind: 1}


def test_images_that_do_not_open(tmp_path):
    content = coco()
    found(tmp_path, content)
    whole = (tmp_path / '1.jpg').read_bytes()
    report = Report()
    (tmp_path / '2.jpg').write_bytes(b'not an image')
    (tmp_path / '1.jpg').write_bytes(whole[:len(whole) // 2])
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'image that does not open': 1}  # the header of the other is whole
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, decode=True, progress=False)
    assert report.counts == {'image that does not open': 2}
    assert 'truncated' in str(report)


def test_files_that_are_missing_or_no_json(tmp_path):
    report = Report()
    check_coco(str(tmp_path / 'none.json'), str(tmp_path), report, progress=False)
    (tmp_path / 'torn.json').write_text('{"images": [')
    check_coco(str(tmp_path / 'torn.json'), str(tmp_path), report, progress=False)
    (tmp_path / 'list.json').write_text('[]')
    check_coco(str(tmp_path / 'list.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'missing file': 1, 'unreadable file': 2}


def test_a_report_counts_all_and_shows_the_first(tmp_path):
    report = Report()
    for number in range(5):
        report.add('missing image', f'{number}.jpg')
    assert str(report).splitlines() == [
        'missing image: 5', '    0.jpg', '    1.jpg', '    2.jpg', '    …',
        '  to do: ' + REMEDIES['missing image']
    ]


def mpii(**changes):
    return dict(dict(
        image='1.jpg', center=[32, 24], scale=0.2, joints=[[64, 48]] * 15 + [[-1, -1]],
        joints_vis=[1] * 15 + [0]), **changes)


@pytest.mark.parametrize('kind, changes', [
    (None, {}),
    ('missing image', dict(image='gone.jpg')),
    ('box without a size', dict(scale=0)),
    ('box outside the image', dict(center=[70, 24])),
    ('visibility out of range', dict(joints_vis=[1] * 15 + [2])),
    ('keypoint outside the image', dict(joints=[[66, 48]] + [[1, 1]] * 15)),
    ('keypoints of another number', dict(joints=[[1, 1]] * 15)),
    ('incomplete entry', None),
])
def test_mpii(kind, changes, tmp_path):
    write_image(tmp_path / '1.jpg')
    people = [mpii(), dict(image='1.jpg') if changes is None else mpii(**changes)]
    (tmp_path / 'mpii.json').write_text(json.dumps(people))
    report = Report()
    check_mpii(str(tmp_path / 'mpii.json'), str(tmp_path), report, progress=False)
    assert report.counts == ({kind: 1} if kind else {})


def test_mpii_head_boxes_and_folder(tmp_path):
    for name in ('annotations', 'images'):
        (tmp_path / name).mkdir()
    write_image(tmp_path / 'images/1.jpg')
    for split in ('train', 'val'):
        (tmp_path / f'annotations/mpii_{split}.json').write_text(json.dumps([mpii()]))
    report = Report()
    check_mpii_folder(str(tmp_path), report, progress=False)
    assert report.counts == {'missing file': 1}
    for people, expected in ((1, {}), (2, {'head boxes of other people': 1})):
        savemat(str(tmp_path / 'annotations/mpii_gt_val.mat'), dict(headboxes_src=np.ones((2, 2, people))))
        report = Report()
        check_mpii_folder(str(tmp_path), report, progress=False)
        assert report.counts == expected


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp('people')
    generate(folder, train=3, val=2, workers=1, image_size=(96, 80), progress=False)
    return folder


def config(folder):
    train = dict(type='mmpose_mspn.CocoDataset', data_root=f'{folder}/', data_prefix=dict(img='train2017/'),
                 ann_file='annotations/person_keypoints_train2017.json')
    val = dict(type='CocoDataset', data_root=f'{folder}/', data_prefix=dict(img='val2017/'),
               ann_file='annotations/person_keypoints_val2017.json',
               bbox_file='person_detection_results/COCO_val2017_detections_AP_H_56_person.json')
    return dict(
        data_root=f'{folder}/',
        train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
            type='CombinedDataset', datasets=[train, train]))),
        val_dataloader=dict(dataset=val), test_dataloader=dict(dataset=val))


def test_synthetic_people_are_sound(people):
    report = Report()
    check_coco_folder(str(people), report, decode=True, progress=False)
    check_config(Config(config(people)), report, progress=False)
    assert not report, str(report)


def test_config_checks_each_of_its_files_once(people, tmp_path):
    report = Report()
    check_config(Config(config(tmp_path)), report, progress=False)
    assert report.counts == {'missing file': 2}
    with pytest.raises(ValueError, match='names no data set of CocoDataset, MpiiDataset'):
        check_config(Config(dict(train_dataloader=None)), report)


def test_tool_fails_on_problems_and_says_them(people, tmp_path):
    Config(config(people)).dump(tmp_path / 'config.py')
    good = subprocess.run([sys.executable, TOOL, tmp_path / 'config.py'], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.strip()) == (0, 'no problems found'), good.stderr
    bad = subprocess.run([sys.executable, TOOL, '--coco', tmp_path], capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and 'missing file: 2' in bad.stdout, bad.stderr
