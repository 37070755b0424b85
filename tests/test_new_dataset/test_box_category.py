"""Files of boxes keep the category of the annotation file: in the dataset, its evaluation and the data check."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.registry import DATASETS, METRICS
from mmpose.structures import PoseDataSample

from mmpose_mspn.data_check.coco import box_category
from mmpose_mspn.data_check.configs import check_config
from mmpose_mspn.data_check.problems import Report
from mmpose_mspn.new_dataset import Options, create
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.synthetic_people.robots import CATEGORY_ID, FOUR, write_robots

BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'


@pytest.mark.parametrize('categories, expected', [
    ([dict(id=7, name='robot', keypoints=['a'])], 7),
    ([dict(id=1, name='lead'), dict(id=7, name='dog', keypoints=['a'])], 7),
    ([dict(id=7, name='dog', keypoints=['a']), dict(id=8, name='cat', keypoints=['a'])], 1),
    ([dict(id=7, name='dog')], 1), ([dict(id='7', name='dog', keypoints=['a'])], 1), (None, 1), ('', 1),
])
def test_the_category_of_boxes(categories, expected):
    assert box_category(dict(categories=categories)) == expected
    assert box_category({}) == box_category([]) == 1


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    generate(folder, train=2, val=4, workers=1, progress=False)
    return folder


@pytest.fixture
def cfg(people, tmp_path) -> Config:
    """The config of robots, tested on boxes of category 7, with some of category 1 among them."""
    files = [write_robots(people / f'annotations/person_keypoints_{split}2017.json', tmp_path / f'{split}.json', FOUR)
             for split in ('train', 'val')]
    out = tmp_path / 'robot'
    create(Options(files[0], people / 'train2017', out, val=files[1], val_images=people / 'val2017'))
    boxes = [dict(box, category_id=CATEGORY_ID) for box in json.loads((people / BOXES).read_text())]
    (out / 'boxes.json').write_text(json.dumps([*boxes, *(dict(box, category_id=1) for box in boxes[:2])]))
    cfg = Config.fromfile(str(out / 'config.py'))
    cfg.test_dataloader.dataset.bbox_file = 'boxes.json'
    return cfg


def test_boxes_of_the_category_are_tested_and_evaluated(cfg, people):
    """Samples that repeat the annotated keypoints where a box meets a robot are right, so the AP is high."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    assert len(dataset) == len(json.loads((people / BOXES).read_text()))
    content = json.loads(Path(cfg.data_root, 'val.json').read_text())
    metric = METRICS.build(cfg.test_evaluator[0])
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        assert sample.category_id == CATEGORY_ID
        near = min((entry for entry in content['annotations'] if entry['image_id'] == sample.img_id), key=lambda entry:
                   np.abs(np.array(entry['bbox'][:2]) - sample.gt_instances.bboxes[0, :2]).sum(), default=None)
        keypoints = np.array(near['keypoints'], float).reshape(1, -1, 3) if near else np.zeros((1, len(FOUR), 3))
        found = PoseDataSample(metainfo=sample.metainfo)
        found.gt_instances = sample.gt_instances
        found.pred_instances = InstanceData(
            keypoints=keypoints[..., :2], keypoint_scores=np.ones((1, len(FOUR))), bboxes=sample.gt_instances.bboxes,
            bbox_scores=sample.gt_instances.bbox_scores)
        metric.process([], [found.to_dict()])
    assert metric.evaluate(len(dataset))['coco/AP'] > 0.9


def test_the_data_check_reads_the_boxes_of_the_category(cfg):
    report = Report()
    report.collect(check_config(cfg, progress=False))
    assert not report, str(report)
    path = Path(cfg.data_root, 'boxes.json')
    boxes = json.loads(path.read_text())
    boxes[0]['score'] = None
    boxes[-1]['score'] = None  # of category 1, which is not read
    path.write_text(json.dumps(boxes))
    report.collect(check_config(cfg, progress=False))
    assert report.counts == {'detection without a finite score': 1}


def test_boxes_of_persons_are_those_of_mmposes_dataset(people):
    """Every field of every sample, apart from the category, which mmpose leaves to the metric."""
    options = dict(data_root=f'{people}/', ann_file='annotations/person_keypoints_val2017.json',
                   data_prefix=dict(img='val2017/'), test_mode=True)
    own = DATASETS.build(dict(type='mmpose_mspn.CocoDataset', bbox_file=BOXES, **options))
    stock = DATASETS.build(dict(type='mmpose.CocoDataset', bbox_file=str(people / BOXES), **options))
    assert len(own) == len(stock) > 0
    for index in range(len(own)):
        found, expected = own.get_data_info(index), stock.get_data_info(index)
        assert found.pop('category_id') == 1 and found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)
    assert own.metainfo['CLASSES'] == stock.metainfo['CLASSES']
