"""Data checks: each fault that is put into correct data is found, and nothing else."""
import json
from pathlib import Path
from typing import Dict

import cv2
import mmcv
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from scipy.io import savemat

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.data_check.coco_format import COCO_FIELDS, check_coco
from mmpose_mspn.data_check.configs import check_config
from mmpose_mspn.data_check.images import image_sizes
from mmpose_mspn.data_check.layouts import LAYOUTS, check_folder
from mmpose_mspn.data_check.mpii_format import check_mpii
from mmpose_mspn.data_check.report import REMEDIES, Report
from tests.generated import make_datasets
from tests.launching import python
from tests.places import ROOT

TOOL = ROOT / 'tools' / 'check_data.py'


def write_image(path, size=(64, 48)):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), noise)


def coco():
    """Two images of 64 × 48 px with one person each."""
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
    check_coco(
        str(folder / 'coco.json'), str(folder), report, [str(folder / 'boxes.json')], progress=False, **options)
    return report


def test_correct_data_passes(tmp_path):
    report = found(tmp_path, coco())
    assert not report and str(report) == 'no problems found'


def change(path, value):
    """A fault: ``value`` at a path in the content."""
    def apply(content):
        *parents, last = path
        for name in parents:
            content = content[name]
        content[last] = value
    return apply


PERSON = ('annotations', 0)
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
    report = found(tmp_path, content, detections()[:1])
    assert report.counts == {kind: 1}
    assert example in str(report) and REMEDIES[kind] in str(report)


@pytest.mark.parametrize('kind', ['AicDataset', 'CrowdPoseDataset'])
def test_datasets_of_14_keypoints(kind, tmp_path):
    content = coco()
    for image in content['images']:
        image['crowdIndex'] = .5
    assert found(tmp_path, content, fields=COCO_FIELDS[kind]).counts == {'wrong number of keypoints': 2}
    for annotation in content['annotations']:
        del annotation['keypoints'][3 * 14:]
    assert not found(tmp_path, content, fields=COCO_FIELDS[kind])
    content['annotations'][0]['keypoints'][:6] = [10, 10, 3, 64.5, 20, 1]
    report = found(tmp_path, content, fields=COCO_FIELDS[kind])
    assert report.counts == {'visibility out of range': 1, 'keypoint outside the image': 1}
    assert "use mmpose's conversion" in str(report)


def test_crowdpose_needs_the_crowding_of_its_images(folders, tmp_path):
    """The evaluation reads it, when the test is over."""
    content = json.loads((folders['crowdpose'] / 'annotations/mmpose_crowdpose_test.json').read_text())
    del content['images'][0]['crowdIndex']
    (tmp_path / 'crowds.json').write_text(json.dumps(content))
    cfg = load_config(str(ROOT / 'configs/_base_/datasets/crowdpose_256x192.py'), data_root=str(folders['crowdpose']))
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / 'crowds.json')
    report = Report()
    check_config(cfg, report, progress=False)
    assert report.counts['incomplete entry'] == 1 and 'crowds.json: no crowdIndex' in str(report)


def whole_body():
    """The parts are not labeled except for a foot, whose visibility is a fraction."""
    content = coco()
    for annotation in content['annotations']:
        annotation.update(foot_kpts=[0] * 18, face_kpts=[0.] * 204, lefthand_kpts=[0] * 63, righthand_kpts=[0] * 63,
                          segmentation=[])
        annotation['foot_kpts'][:3] = [64, 48, .25]
    return content


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
    report = found(tmp_path, content, fields=COCO_FIELDS['CocoWholeBodyDataset'])
    assert report.counts == ({kind: 1} if kind else {})
    assert example in str(report)


@pytest.mark.parametrize('skipped', [dict(iscrowd=1), dict(num_keypoints=0)])
def test_people_that_training_skips_are_not_checked(skipped, tmp_path):
    content = coco()
    content['annotations'][0].update(skipped, keypoints=[9] * 51, bbox=[0, 0, 0, 0])
    assert not found(tmp_path, content)


@pytest.mark.parametrize('kind, entry', [
    ('detection in an unknown image', dict(image_id=3)),
    ('detection without a finite score', dict(score=None)),
    ('detection without a finite score', dict(score=float('inf'))),
    ('box without a positive size', dict(bbox=[1, 2, 3, -4])),
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
    assert report.counts == {'image that does not open': 1}  # the header of the truncated image is intact
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, decode=True, progress=False)
    assert report.counts == {'image that does not open': 2}
    assert 'truncated' in str(report)


def write_rotated(path, orientation, kind='JPEG'):
    """A photograph that is stored with 64 × 48 px and an EXIF orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, kind, exif=tags)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_sizes_are_those_of_the_images_as_loaded(orientation, kind, decode, tmp_path):
    """For any format and orientation: the annotations must have the size that the datasets' loader gives."""
    write_rotated(tmp_path / '1.jpg', orientation, kind)
    height, width = mmcv.imread(str(tmp_path / '1.jpg')).shape[:2]
    report = Report()
    size, = image_sizes([str(tmp_path / '1.jpg')], report, decode, progress=False).values()
    assert (size.stored, size.loaded, bool(report)) == ((64, 48), (width, height), False)
    assert kind != 'JPEG' or (width, height) == ((48, 64) if orientation > 4 else (64, 48))


def test_annotations_of_a_rotated_photograph_belong_to_the_turned_image(tmp_path):
    content = coco()
    found(tmp_path, content)
    write_rotated(tmp_path / '1.jpg', 6)
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'annotations of an unrotated photograph': 1}
    assert '1.jpg: (48, 64) as loaded, annotated (64, 48) as stored' in str(report) and 'EXIF' in str(report)
    content['images'][0].update(width=48, height=64)
    content['annotations'][0]['keypoints'][1] = 63  # inside the turned image only
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, progress=False)
    assert not report, str(report)


@pytest.mark.parametrize('decode', [False, True])
def test_images_that_only_other_libraries_read_are_found(decode, tmp_path):
    found(tmp_path, coco())
    Image.new('RGB', (64, 48)).save(tmp_path / '1.jpg', 'GIF')
    (tmp_path / '2.jpg').unlink()
    (tmp_path / '2.jpg').mkdir()
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, decode=decode, progress=False)
    assert report.counts == {'image that does not open': 2}


def test_the_bar_reaches_the_end(tmp_path, capsys):
    found(tmp_path, coco())
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), Report())
    assert '2/2' in capsys.readouterr().err.splitlines()[-1]


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
    report = found(tmp_path, content, detections()[:1])
    assert report.counts == {kind: 1}
    assert REMEDIES[kind] in str(report)


def test_boxes_of_other_categories_only_are_reported(tmp_path):
    assert found(tmp_path, coco(), [dict(detections()[0], category_id=2)]).counts == {
        'detections of other categories only': 1}


def test_a_file_without_people_is_reported(tmp_path):
    content = dict(coco(), annotations=[])
    found(tmp_path, content)
    report = Report()
    check_coco(str(tmp_path / 'coco.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'file without people': 1}


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-8-sig'])
def test_a_file_in_an_encoding_that_mmpose_does_not_read(encoding, tmp_path):
    (tmp_path / 'people.json').write_bytes(json.dumps(dict(images=[], annotations=[], categories=[])).encode(encoding))
    report = Report()
    check_coco(str(tmp_path / 'people.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'unreadable file': 1} and f'written in {encoding}, but mmpose reads utf-8' in str(report)


def test_files_that_are_missing_or_not_json(tmp_path):
    report = Report()
    check_coco(str(tmp_path / 'none.json'), str(tmp_path), report, progress=False)
    (tmp_path / 'truncated.json').write_text('{"images": [')
    check_coco(str(tmp_path / 'truncated.json'), str(tmp_path), report, progress=False)
    (tmp_path / 'list.json').write_text('[]')
    check_coco(str(tmp_path / 'list.json'), str(tmp_path), report, progress=False)
    assert report.counts == {'missing file': 1, 'unreadable file': 2}


def test_a_report_counts_all_problems_and_shows_the_first(tmp_path):
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
    ('image without a name', dict(image=7)),
    ('box without a positive size', dict(scale='1')),
    ('coordinate far outside the image', dict(scale=1e10)),
    ('box outside the image', dict(center='32 24')),
    ('keypoint that is not finite', dict(joints=[[float('nan'), 1]] + [[1, 1]] * 15)),
    ('keypoint that is not finite', dict(joints=[None] + [[1, 1]] * 15)),
    ('wrong number of keypoints', dict(joints=None)),
    ('missing image', dict(image='gone.jpg')),
    ('box without a positive size', dict(scale=0)),
    ('box without a positive size', dict(scale=float('inf'))),
    ('box outside the image', dict(center=[70, 24])),
    ('box outside the image', dict(center=[float('nan'), 24])),
    ('box outside the image', dict(center=None)),
    ('visibility out of range', dict(joints_vis=[1] * 15 + [2])),
    ('keypoint outside the image', dict(joints=[[66, 48]] + [[1, 1]] * 15)),
    ('wrong number of keypoints', dict(joints=[[1, 1]] * 15)),
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
    check_folder('mpii', str(tmp_path), report, progress=False)
    assert report.counts == {'missing file': 1}
    for people, expected in ((1, {}), (2, {'wrong number of head boxes': 1})):
        boxes = np.arange(2.)[:, None, None] * np.ones((2, 2, people))  # from (0, 0) to (1, 1)
        savemat(str(tmp_path / 'annotations/mpii_gt_val.mat'), dict(headboxes_src=boxes))
        report = Report()
        check_folder('mpii', str(tmp_path), report, progress=False)
        assert report.counts == expected


# ---------------------------------------------------------------- folders and configs


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Dict[str, Path]:
    """A correct folder of each layout."""
    root = tmp_path_factory.mktemp('people')
    made = make_datasets(root)
    return {name: made.get(name, root / ('coco' if name == 'wholebody' else name)) for name in LAYOUTS}


BASES = dict(coco='coco_256x192', wholebody='coco-wholebody_256x192', crowdpose='crowdpose_256x192',
             mpii='mpii_256x256')


@pytest.mark.parametrize('layout', LAYOUTS)
def test_correct_folders_pass_and_others_do_not(layout, folders, tmp_path):
    report = Report()
    check_folder(layout, str(folders[layout]), report, decode=True, progress=False)
    assert not report, str(report)
    check_folder(layout, str(tmp_path), report, progress=False)
    assert set(report.counts) == {'missing file'}


@pytest.mark.parametrize('layout', BASES)
def test_configs_read_the_files_of_their_folder(layout, folders, tmp_path):
    path = str(ROOT / f'configs/_base_/datasets/{BASES[layout]}.py')
    report = Report()
    check_config(load_config(path, data_root=str(folders[layout])), report, progress=False)
    assert not report, str(report)
    by_config, by_folder = Report(), Report()
    check_config(load_config(path, data_root=str(tmp_path)), by_config, progress=False)
    check_folder(layout, str(tmp_path), by_folder, progress=False)
    assert by_config.examples == by_folder.examples and by_config


def coco_and_aic(folders):
    path = str(ROOT / 'configs/_base_/datasets/coco-aic_384x288.py')
    return load_config(path, data_root=str(folders['coco']))


def test_all_combined_datasets_are_checked(folders, tmp_path):
    report = Report()
    check_config(coco_and_aic(folders), report, progress=False)
    assert not report, str(report)
    content = json.loads((folders['aic'] / 'annotations/aic_train.json').read_text())
    content['annotations'][0]['keypoints'][2] = 3
    (tmp_path / 'aic.json').write_text(json.dumps(content))
    cfg = coco_and_aic(folders)
    cfg.train_dataloader.dataset.datasets[1].ann_file = str(tmp_path / 'aic.json')
    check_config(cfg, report, progress=False)
    assert report.counts == {'visibility out of range': 1} and 'aic.json: keypoint 0 has 3' in str(report)


COCO_BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'


def config(folder, **changes):
    """The same people repeated and combined for training, with and without a detector's boxes for tests."""
    train = dict(type='mmpose_mspn.CocoDataset', data_root=f'{folder}/', data_prefix=dict(img='train2017/'),
                 ann_file='annotations/person_keypoints_train2017.json')
    val = dict(type='mmpose_mspn.CocoDataset', data_root=f'{folder}/', data_prefix=dict(img='val2017/'),
               ann_file='annotations/person_keypoints_val2017.json')
    return Config(dict(
        data_root=f'{folder}/',
        train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
            type='CombinedDataset', datasets=[train, train]))),
        val_dataloader=dict(dataset=val), test_dataloader=dict(dataset={**val, 'bbox_file': COCO_BOXES, **changes})))


def test_each_file_of_a_config_is_checked_once(folders, tmp_path):
    report = Report()
    check_config(config(folders['coco']), report, progress=False)
    assert not report, str(report)
    check_config(config(tmp_path), report, progress=False)
    assert report.counts == {'missing file': 2}
    with pytest.raises(ValueError, match='names no dataset to check: it needs a dataset in one of train_dataloader'):
        check_config(Config(dict(train_dataloader=None)), report)


def test_boxes_of_a_config_are_found_where_the_dataset_looks(folders):
    """Below ``data_root``; the stock datasets take the path as it is."""
    stock = dict(type='CocoDataset', bbox_file=str(folders['coco'] / COCO_BOXES))
    report = Report()
    check_config(config(folders['coco'], **stock), report, progress=False)
    assert not report, str(report)
    check_config(config(folders['coco'], type='mmpose.CocoDataset'), report, progress=False)
    assert report.examples == {'missing file': [COCO_BOXES]}


def test_datasets_of_other_types_are_reported(folders):
    cfg = config(folders['coco'])
    other = dict(type='PoseTrack18Dataset', data_root='data/posetrack', ann_file='train.json')
    cfg.train_dataloader.dataset.dataset.datasets.append(other)
    cfg.val_dataloader.dataset = other
    report = Report()
    check_config(cfg, report, progress=False)
    assert report.counts == {'dataset that is not checked': 1}
    assert 'PoseTrack18Dataset: data/posetrack/train.json' in str(report)


METAINFO = dict(
    dataset_name='five', keypoint_info={i: dict(name=f'point{i}', id=i, type='', swap='') for i in range(5)},
    skeleton_info={}, joint_weights=[1.] * 5, sigmas=[.05] * 5)


@pytest.mark.parametrize('metainfo, problems', [
    (METAINFO, {}),
    (None, {'wrong number of keypoints': 4}),  # COCO's 17
    (dict(from_file='configs/_base_/datasets/coco.py'), {'wrong number of keypoints': 4}),
    (dict(classes=('person', )), {'metainfo that does not load': 2}),  # mmpose refuses it too: it has no dataset_name
])
def test_a_metainfo_of_the_config_sets_the_number_of_keypoints(metainfo, problems, tmp_path):
    content = coco()
    for annotation in content['annotations']:
        del annotation['keypoints'][3 * 5:]
    found(tmp_path, content)
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='coco.json', metainfo=metainfo)
    other = dict(dataset, ann_file=str(tmp_path / 'other.json'))
    (tmp_path / 'other.json').write_text(json.dumps(content))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=other)))
    report = Report()
    check_config(cfg, report, progress=False)
    assert report.counts == problems


@pytest.mark.parametrize('metric, missing', [
    (dict(type='CocoMetric'), 2), (dict(type='mmpose_mspn.CocoMetric'), 2), ([dict(type='CocoMetric')], 2),
    (dict(type='CocoMetric', use_area=False), 0), (dict(type='PCKAccuracy'), 0), (None, 0)])
def test_fields_that_only_the_evaluation_of_the_config_reads(metric, missing, tmp_path):
    """The two people have no area."""
    found(tmp_path, coco())
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='coco.json')
    report = Report()
    check_config(Config(dict(train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=dataset),
                             val_evaluator=metric)), report, progress=False)
    assert report.counts == ({'incomplete entry': missing} if missing else {})
    assert not missing or 'annotation 10 of' in str(report) and 'use_area=False' in str(report)


def test_a_metainfo_that_does_not_load_is_reported():
    report = Report()
    check_config(Config(dict(train_dataloader=dict(dataset=dict(
        type='CocoDataset', ann_file='coco.json', metainfo=dict(from_file='nowhere.py'))))), report, progress=False)
    assert report.counts == {'metainfo that does not load': 1} and 'nowhere.py' in str(report)


def test_a_metainfo_of_whole_bodies_counts_all_parts(tmp_path):
    found(tmp_path, whole_body())
    report = Report()
    check_config(Config(dict(train_dataloader=dict(dataset=dict(
        type='CocoWholeBodyDataset', data_root=str(tmp_path), ann_file='coco.json',
        metainfo=dict(from_file='configs/_base_/datasets/coco_wholebody.py'))))), report, progress=False)
    assert not report, str(report)


def run_tool(*arguments):
    return python(TOOL, *arguments)


def test_tool_fails_and_prints_the_problems(folders, tmp_path):
    config(folders['coco']).dump(tmp_path / 'config.py')
    good = run_tool(tmp_path / 'config.py')
    assert (good.returncode, good.stdout.strip()) == (0, 'no problems found'), good.stderr
    bad = run_tool('--wholebody', tmp_path)
    assert bad.returncode == 1 and 'missing file: 2' in bad.stdout, bad.stderr
