"""The figure is the metric's own: CocoMetric's, CocoWholeBodyMetric's and MpiiPCKAccuracy's, on their own data."""
import json

import numpy as np
import pytest
from mmengine.registry import METRICS

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.diagnosis import measure
from mmpose_mspn.diagnosis.sources import read_coco_truth, read_results, read_source
from mmpose_mspn.utils.errors import ConfigError, DataError
from tests.generated import make_datasets
from tests.test_diagnosis.planted_people import COCO, Planted

BASE = 'configs/_base_/datasets/'
DATA = {'coco': 'coco_256x192.py', 'crowdpose': 'crowdpose_256x192.py', 'wholebody': 'coco-wholebody_256x192.py',
        'mpii': 'mpii_256x256.py'}
FOLDERS = {'coco': 'synthetic', 'crowdpose': 'crowdpose', 'wholebody': 'coco', 'mpii': 'mpii'}


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return make_datasets(tmp_path_factory.mktemp('data'))


@pytest.fixture(params=DATA)
def cfg(request, folders):
    return load_config(BASE + DATA[request.param], data_root=str(folders[FOLDERS[request.param]]))


def shifted_samples(source, seed=0):
    """Samples as a test loop gives metrics: everyone found, a few px off, some twice, some by a wrong person."""
    draw, truth = np.random.default_rng(seed), source.truth
    samples = []
    for row in np.flatnonzero(~truth.ignored):
        for twice in range(1 if source.figure.by_id else draw.integers(1, 3)):
            off = draw.normal(0, draw.choice([.5, 4, 30]), truth.keypoints[row].shape)
            size = np.array([*truth.boxes[row, :2], *truth.boxes[row, :2] + truth.boxes[row, 2:]])[None]
            samples.append(dict(
                id=int(truth.ids[row]) if source.figure.by_id else len(samples) + 10 * twice,
                img_id=truth.images[truth.image[row]].id,
                category_id=1,
                gt_instances=dict(
                    bboxes=size, bbox_scores=draw.uniform(.2, 1, 1), head_size=truth.norms[row].reshape(1, 1),
                    bbox_scales=truth.boxes[row][None, 2:], keypoints=truth.keypoints[row][None] + 1,
                    keypoints_visible=truth.labeled[row][None]),
                pred_instances=dict(
                    keypoints=(truth.keypoints[row] + off)[None], bboxes=size,
                    keypoint_scores=draw.uniform(.1, 1.5, (1, len(source.keypoints))))))
    return samples


def write_mpii_results(path, ids, keypoints):
    """A results file of people by their places in the annotation file, with keypoints (16, 2) in image px."""
    path.write_text(json.dumps([
        dict(id=int(number), keypoints=np.concatenate([points, np.ones((16, 1))], 1).ravel().tolist())
        for number, points in zip(ids, keypoints)]))


def test_the_figure_is_that_of_the_configs_metric(cfg, tmp_path):
    source = read_source(cfg)
    settings = dict(cfg.test_evaluator)
    if not source.figure.by_id:
        settings['outfile_prefix'] = str(tmp_path / 'results')
    metric = METRICS.build(settings)
    metric.dataset_meta = dict(source.meta)
    if not source.figure.by_id:
        metric.coco = source.metric.coco
    samples = shifted_samples(source)
    metric.process({}, samples)
    expected = metric.compute_metrics(metric.results)
    results = tmp_path / 'results.keypoints.json'
    if source.figure.by_id:
        write_mpii_results(results, [sample['id'] for sample in samples],
                           [sample['pred_instances']['keypoints'][0] for sample in samples])
    content = measure(source, results)
    name = 'PCK' if source.figure.by_id else 'AP'
    assert 0.05 < content['figure']['value'] < 99
    assert content['figure']['value'] == pytest.approx(float(expected[name]), abs=1e-6)
    assert content['metrics'] == pytest.approx({key: float(value) for key, value in expected.items()}, abs=1e-9)
    if source.figure.by_id:
        everyone = content['groups']['everyone'][0]
        assert everyone['pckh10'] == pytest.approx(float(expected['PCK@0.1']), abs=1e-4)
        elbow = next(row for row in content['groups']['keypoints'] if row['name'] == 'elbow')
        right, left = source.truth.labeled[:, [11, 14]].sum(0)
        assert right == left  # otherwise mmpose's mean of both sides is not that of all elbows
        assert elbow['pckh'] == pytest.approx(float(expected['Elbow PCK']), abs=1e-6)
    else:
        everyone = content['groups']['everyone'][0]
        assert everyone['ar'] == pytest.approx(float(expected['AR']), abs=1e-6)


def test_corrected_pckh_is_that_of_people_really_corrected(folders, tmp_path):
    source = read_source(load_config(BASE + DATA['mpii'], data_root=str(folders['mpii'])))
    truth, results = source.truth, tmp_path / 'results.json'
    points = truth.keypoints.copy()
    person, joint = [index[0] for index in np.nonzero(truth.labeled[:, 10:])]  # one wrist or shoulder far away
    joint += 10
    points[person, joint] += 5000
    write_mpii_results(results, truth.ids, points)
    content = measure(source, results)
    assert content['errors'] == dict(good=int(truth.labeled.sum()) - 1, jitter=0, inversion=0, swap=0, miss=1)
    assert content['figure']['value'] < 100
    corrected = {row['name']: row['value'] for row in content['corrections']}
    assert corrected['miss'] == corrected['all keypoints'] == 100
    assert corrected['jitter'] == content['figure']['value']
    assert 'false boxes' not in corrected
    write_mpii_results(results, truth.ids, truth.keypoints)
    assert measure(source, results)['figure']['value'] == 100


def test_a_persons_missing_prediction_counts_as_wrong_in_pckh(folders, tmp_path):
    source = read_source(load_config(BASE + DATA['mpii'], data_root=str(folders['mpii'])))
    truth, results = source.truth, tmp_path / 'results.json'
    write_mpii_results(results, truth.ids[1:], truth.keypoints[1:])
    content = measure(source, results)
    counted = truth.labeled[:, [index for index in range(16) if index not in (6, 7)]]
    assert content['figure']['value'] == pytest.approx(100 * counted[1:].sum() / counted.sum())
    assert content['counts']['missed'] == 1


@pytest.mark.parametrize('change, error, message', [
    (dict(test_evaluator=dict(_delete_=True, type='PCKAccuracy')), ConfigError, 'test_evaluator must be CocoMetric'),
    (dict(test_evaluator=dict(_delete_=True, type='CocoMetric', pred_converter=dict(
        type='KeypointConverter', num_keypoints=17, mapping=[(0, 0)]))), ConfigError, 'pred_converter'),
    (dict(test_dataloader=dict(dataset=dict(ann_file='annotations/none.json'))), FileNotFoundError, 'none.json')])
def test_other_data_is_refused_by_name(change, error, message, folders):
    cfg = load_config(BASE + DATA['coco'], data_root=str(folders['synthetic']))
    cfg.merge_from_dict(change)
    with pytest.raises(error, match=message):
        read_source(cfg)


@pytest.mark.parametrize('lost, names', [
    ('bbox', 'annotation 100 .*bbox'), ('area', 'annotation 100 .*area.*use_area=False'),
    ('image_id', 'image_id'), ('category_id', 'category_id')])
def test_annotations_that_lack_something_are_refused_by_name(lost, names, tmp_path):
    planted = Planted(COCO)
    del planted.person(planted.image(), (0, 0))[lost]
    with pytest.raises(DataError, match=names):
        read_coco_truth(str(planted.write(tmp_path)[0]), '', COCO)


def result(**changes):
    return dict(dict(image_id=1_000_001, score=.5, keypoints=[10., 10., 1.] * 17), **changes)


@pytest.mark.parametrize('results, message', [
    ([result(image_id=5)], r'1 images that .* does not list, such as \[5\]'),
    ([result(keypoints=[1., 2., 3.])], 'entry 0 of .* has 3 values'),
    ([{'image_id': 1_000_001}], 'entry 0 of predictions .* has no keypoints, score'),
    ([result(score=float('nan'))], 'not finite'),
    ({}, 'must hold a list'),
    ([], 'are empty')])
def test_predictions_of_another_form_are_refused_by_name(results, message, folders, tmp_path):
    source = read_source(load_config(BASE + DATA['coco'], data_root=str(folders['synthetic'])))
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(results))
    with pytest.raises(DataError, match=message):
        measure(source, path)


def test_a_box_is_the_results_own_or_the_keypoints_extent(folders, tmp_path):
    source = read_source(load_config(BASE + DATA['coco'], data_root=str(folders['synthetic'])))
    path = tmp_path / 'results.json'
    points = np.concatenate([np.arange(34).reshape(17, 2) + [5, 10], np.ones((17, 1))], 1)
    path.write_text(json.dumps([result(keypoints=points.ravel().tolist(), score=.9),
                                result(bbox=[1, 2, 3, 4], score=.8)]))
    predictions = read_results(str(path), source.truth, 17)
    assert predictions.boxes.tolist() == [[5, 11, 32, 32], [1, 2, 3, 4]]
