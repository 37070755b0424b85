"""Folders as the datasets are published, the files that a config names, and the tool."""
import json

import pytest
from mmengine.config import Config

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.data_check.configs import check_config
from mmpose_mspn.data_check.files import LAYOUTS, check_folder
from mmpose_mspn.data_check.problems import Report
from mmpose_mspn.utils.errors import ConfigError
from tests.launching import python
from tests.places import ROOT
from tests.test_data_check.files import (
    coco,
    whole_body,
    write_and_check,
)

TOOL = ROOT / 'tools' / 'check_data.py'
BASES = dict(coco='coco_256x192', wholebody='coco-wholebody_256x192', crowdpose='crowdpose_256x192',
             mpii='mpii_256x256')


def test_crowdpose_needs_the_crowding_of_its_images(folders, tmp_path):
    """The evaluation reads it, when the test is over."""
    content = json.loads((folders['crowdpose'] / 'annotations/mmpose_crowdpose_test.json').read_text())
    del content['images'][0]['crowdIndex']
    (tmp_path / 'crowds.json').write_text(json.dumps(content))
    cfg = load_config(str(ROOT / 'configs/_base_/datasets/crowdpose_256x192.py'), data_root=str(folders['crowdpose']))
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / 'crowds.json')
    report = Report()
    report.collect(check_config(cfg, progress=False))
    assert report.counts['incomplete entry'] == 1 and 'crowds.json: no crowdIndex' in str(report)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_correct_folders_pass_and_others_do_not(layout, folders, tmp_path):
    report = Report()
    report.collect(check_folder(layout, str(folders[layout]), decode=True, progress=False))
    assert not report, str(report)
    report.collect(check_folder(layout, str(tmp_path), progress=False))
    assert set(report.counts) == {'missing file'}


@pytest.mark.parametrize('layout', BASES)
def test_configs_read_the_files_of_their_folder(layout, folders, tmp_path):
    path = str(ROOT / f'configs/_base_/datasets/{BASES[layout]}.py')
    report = Report()
    report.collect(check_config(load_config(path, data_root=str(folders[layout])), progress=False))
    assert not report, str(report)
    by_config, by_folder = Report(), Report()
    by_config.collect(check_config(load_config(path, data_root=str(tmp_path)), progress=False))
    by_folder.collect(check_folder(layout, str(tmp_path), progress=False))
    assert by_config.examples == by_folder.examples and by_config


def coco_and_aic(folders):
    path = str(ROOT / 'configs/_base_/datasets/coco-aic_384x288.py')
    return load_config(path, data_root=str(folders['coco']))


def test_all_combined_datasets_are_checked(folders, tmp_path):
    report = Report()
    report.collect(check_config(coco_and_aic(folders), progress=False))
    assert not report, str(report)
    content = json.loads((folders['aic'] / 'annotations/aic_train.json').read_text())
    content['annotations'][0]['keypoints'][2] = 3
    (tmp_path / 'aic.json').write_text(json.dumps(content))
    cfg = coco_and_aic(folders)
    cfg.train_dataloader.dataset.datasets[1].ann_file = str(tmp_path / 'aic.json')
    report.collect(check_config(cfg, progress=False))
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
    report.collect(check_config(config(folders['coco']), progress=False))
    assert not report, str(report)
    report.collect(check_config(config(tmp_path), progress=False))
    assert report.counts == {'missing file': 2}
    with pytest.raises(ConfigError, match='train_dataloader'):
        report.collect(check_config(Config(dict(train_dataloader=None))))


def test_boxes_of_a_config_are_found_where_the_dataset_looks(folders):
    """Below ``data_root``; the stock datasets take the path as it is."""
    stock = dict(type='CocoDataset', bbox_file=str(folders['coco'] / COCO_BOXES))
    report = Report()
    report.collect(check_config(config(folders['coco'], **stock), progress=False))
    assert not report, str(report)
    report.collect(check_config(config(folders['coco'], type='mmpose.CocoDataset'), progress=False))
    assert report.examples == {'missing file': [COCO_BOXES]}


def test_datasets_of_other_types_are_reported(folders):
    cfg = config(folders['coco'])
    other = dict(type='PoseTrack18Dataset', data_root='data/posetrack', ann_file='train.json')
    cfg.train_dataloader.dataset.dataset.datasets.append(other)
    cfg.val_dataloader.dataset = other
    report = Report()
    report.collect(check_config(cfg, progress=False))
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
    write_and_check(tmp_path, content)
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='coco.json', metainfo=metainfo)
    other = dict(dataset, ann_file=str(tmp_path / 'other.json'))
    (tmp_path / 'other.json').write_text(json.dumps(content))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=other)))
    report = Report()
    report.collect(check_config(cfg, progress=False))
    assert report.counts == problems


@pytest.mark.parametrize('metric, missing', [
    (dict(type='CocoMetric'), 2), (dict(type='mmpose_mspn.CocoMetric'), 2), ([dict(type='CocoMetric')], 2),
    (dict(type='CocoMetric', use_area=False), 0), (dict(type='PCKAccuracy'), 0), (None, 0)])
def test_fields_that_only_the_evaluation_of_the_config_reads(metric, missing, tmp_path):
    """The two people have no area."""
    write_and_check(tmp_path, coco())
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='coco.json')
    report = Report()
    cfg = Config(dict(train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=dataset),
                      val_evaluator=metric))
    report.collect(check_config(cfg, progress=False))
    assert report.counts == ({'incomplete entry': missing} if missing else {})
    assert not missing or 'annotation 10 of' in str(report) and 'use_area=False' in str(report)


def test_a_metainfo_that_does_not_load_is_reported():
    report = Report()
    report.collect(check_config(Config(dict(train_dataloader=dict(dataset=dict(
        type='CocoDataset', ann_file='coco.json', metainfo=dict(from_file='nowhere.py'))))), progress=False))
    assert report.counts == {'metainfo that does not load': 1} and 'nowhere.py' in str(report)


def test_a_metainfo_of_whole_bodies_counts_all_parts(tmp_path):
    write_and_check(tmp_path, whole_body())
    report = Report()
    report.collect(check_config(Config(dict(train_dataloader=dict(dataset=dict(
        type='CocoWholeBodyDataset', data_root=str(tmp_path), ann_file='coco.json',
        metainfo=dict(from_file='configs/_base_/datasets/coco_wholebody.py'))))), progress=False))
    assert not report, str(report)


def test_tool_fails_and_prints_the_problems(folders, tmp_path):
    config(folders['coco']).dump(tmp_path / 'config.py')
    good = python(TOOL, tmp_path / 'config.py')
    assert (good.returncode, good.stdout.strip()) == (0, 'no problems found'), good.stderr
    bad = python(TOOL, '--wholebody', tmp_path)
    assert bad.returncode == 1 and 'missing file: 2' in bad.stdout, bad.stderr
