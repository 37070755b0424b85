"""Metrics refuse predictions that are not finite, and annotations that the evaluation cannot use, before the run."""
import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmpose.registry import METRICS

from mmpose_mspn.utils.errors import CheckpointError, ConfigError, DataError
from tests.building import SMALL, codec, estimator
from tests.test_datasets.coco_files import dataset, write_coco

SIGMAS = np.full(17, .05)
META = dict(dataset_name='checked', num_keypoints=17, sigmas=SIGMAS, CLASSES=[dict(id=1, name='person')])
PLACES = np.random.default_rng(0).uniform(10, 90, (2, 17, 2)).astype(np.float32)


def annotations() -> dict:
    """Two people in one image of 100 × 100 px."""
    people = [
        dict(id=number, image_id=1, category_id=1, bbox=[5., 5., 90., 90.], area=4000., iscrowd=0, num_keypoints=17,
             keypoints=np.concatenate([places, np.full((17, 1), 2)], 1).ravel().tolist())
        for number, places in enumerate(PLACES)]
    return dict(images=[dict(id=1, file_name='1.jpg', width=100, height=100)], annotations=people,
                categories=[dict(id=1, name='person')])


def build(folder: Path, content: dict, kind: str = 'mmpose_mspn.CocoMetric', **changes):
    (folder / 'people.json').write_text(json.dumps(content))
    metric = METRICS.build(dict(type=kind, ann_file=str(folder / 'people.json'), nms_mode='none',
                                score_mode='bbox_keypoint', keypoint_score_thr=0., **changes))
    metric.dataset_meta = copy.deepcopy(META)
    return metric


def sample(number: int, **changes) -> dict:
    predicted = dict(keypoints=PLACES[number][None].copy(), keypoint_scores=np.full((1, 17), .9, np.float32),
                     bboxes=np.array([[5, 5, 95, 95]], np.float32), bbox_scores=np.ones(1, np.float32))
    return dict(id=number, img_id=1, img_path='1.jpg', category_id=1, pred_instances=dict(predicted, **changes),
                gt_instances=dict(bbox_scales=np.array([[90, 90]], np.float32)))


def test_right_predictions_reach_an_ap_of_1_and_wrong_ones_0(tmp_path):
    for moved, expected in ((0, 1.), (60, 0.)):
        metric = build(tmp_path, annotations())
        metric.process([], [sample(n, keypoints=PLACES[n][None] + np.float32(moved)) for n in range(2)])
        assert metric.evaluate(2)['coco/AP'] == pytest.approx(expected)


@pytest.mark.parametrize('field', ['keypoints', 'keypoint_scores', 'bbox_scores'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(tmp_path, field, value):
    broken = sample(1)
    broken['pred_instances'][field].ravel()[0] = value
    metric = build(tmp_path, annotations())
    metric.process([], [sample(0)])
    with pytest.raises(CheckpointError, match=rf'predicted {field} for image 1.jpg \(id 1\) are not finite'):
        metric.process([], [broken])


@pytest.mark.parametrize('broken', ['all', 'one'])
def test_a_network_with_nan_weights_is_refused(tmp_path, broken):
    """From the files to the metric: the decoder turns NaN heatmaps into keypoints inside of the crop, of score NaN."""
    people = dataset(write_coco(tmp_path), test_mode=True)
    stages = 1
    model = estimator(dict(type='mmpose_mspn.MSPN', num_stages=stages, encoder=SMALL, unit_channels=16),
                      dict(type='mmpose_mspn.MSPNHead', num_stages=stages, out_channels=17, unit_channels=16,
                           decoder=codec())).eval()
    weights = list(model.head.predictors[0][-1].parameters())
    with torch.no_grad():
        for weight in weights if broken == 'all' else weights[-1:]:
            weight[0] = np.nan
        predicted, = model.test_step(pseudo_collate([people[0]]))
    metric = METRICS.build(dict(type='mmpose_mspn.CocoMetric'))
    metric.dataset_meta = copy.deepcopy(people.metainfo)
    with pytest.raises(CheckpointError, match=r'predicted keypoint_scores for image .*a.jpg \(id 7\) are not finite'):
        metric.process([], [predicted.to_dict()])


def test_mpii_predictions_that_are_not_finite_are_refused():
    broken = sample(0)
    broken['pred_instances']['keypoints'][0, 3] = np.nan
    metric = METRICS.build(dict(type='mmpose_mspn.MpiiPCKAccuracy'))
    with pytest.raises(CheckpointError, match='keypoints for image 1.jpg .*not finite'):
        metric.process([], [broken])


def without(field):
    return lambda content: content['annotations'][1].pop(field)


def with_value(field, value):
    return lambda content: content['annotations'][1].update({field: value})


@pytest.mark.parametrize('change, message', [
    (without('area'), 'annotation 1 of ann_file .*people.json: no area, which the evaluation reads; without areas '
                      'set use_area=False'),
    (without('bbox'), 'annotation 1 of .*no bbox'),
    (without('keypoints'), 'annotation 1 of .*no keypoints'),
    (with_value('keypoints', None), 'annotation 1 of .*keypoints None'),
    (with_value('keypoints', [float('nan')] * 51), 'annotation 1 of .*not finite'),
    (with_value('bbox', [5, 5, float('inf'), 90]), 'annotation 1 of .*bbox'),
    (with_value('area', float('nan')), 'annotation 1 of .*area nan'),
    (with_value('area', -4000.), 'annotation 1 of .*area -4000'),
    (with_value('area', 1e10), 'annotation 1 of .*area 10000000000'),
    (with_value('area', 0), 'annotation 1 of .*area 0, with which no prediction counts as right'),
    (with_value('category_id', 2), r'annotation 1 of .*category_id 2 is not one of \[1\]'),
    (with_value('id', 'a'), "annotation 'a' of .*id 'a'"),
    (with_value('id', -1), 'annotation -1 of .*id -1'),
    (with_value('id', 0), '0 occurs 2 times'),
    (lambda content: content.pop('categories'), 'no categories'),
    (lambda content: content['images'][0].pop('width'), 'no width'),
])
def test_annotations_that_the_evaluation_cannot_use_are_refused_before_the_run(tmp_path, change, message):
    content = annotations()
    change(content)
    with pytest.raises(DataError, match=message):
        build(tmp_path, content)


def test_areas_are_needed_only_where_the_evaluation_uses_them(tmp_path):
    content = annotations()
    for annotation in content['annotations']:
        del annotation['area'], annotation['iscrowd']
    metric = build(tmp_path, content, use_area=False)
    metric.process([], [sample(0), sample(1)])
    assert metric.evaluate(2)['coco/AP'] == pytest.approx(1)


def test_crowdpose_needs_the_number_of_keypoints(tmp_path):
    content = annotations()
    content['images'][0]['crowdIndex'] = .5
    build(tmp_path, content, iou_type='keypoints_crowd', use_area=False)
    del content['annotations'][0]['num_keypoints']
    with pytest.raises(DataError, match='annotation 0 of .*no num_keypoints'):
        build(tmp_path, content, iou_type='keypoints_crowd', use_area=False)


def test_the_annotations_of_the_dataset_are_checked_too(tmp_path):
    content = annotations()
    del content['annotations'][1]['area']
    (tmp_path / 'people.json').write_text(json.dumps(content))
    MessageHub.get_current_instance().update_info('checked_ann_file', str(tmp_path / 'people.json'))
    metric = METRICS.build(dict(type='mmpose_mspn.CocoMetric'))
    with pytest.raises(DataError, match='annotation 1 of .*no area'):
        metric.dataset_meta = copy.deepcopy(META)


def test_images_that_the_annotations_do_not_list_are_refused_at_the_first_batch(tmp_path):
    with pytest.raises(ConfigError, match='image 7 .*is not in the annotations that the evaluator uses'):
        build(tmp_path, annotations()).process([], [dict(sample(0), img_id=7)])


@pytest.mark.parametrize('content, error', [(None, FileNotFoundError), ('[]', DataError), ('{"images"', DataError)])
def test_an_annotation_file_that_does_not_load_is_named(tmp_path, content, error):
    if content is not None:
        (tmp_path / 'other.json').write_text(content)
    with pytest.raises(error, match='ann_file of the evaluator .*other.json'):
        METRICS.build(dict(type='mmpose_mspn.CocoMetric', ann_file=str(tmp_path / 'other.json')))
