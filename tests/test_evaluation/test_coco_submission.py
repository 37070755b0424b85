"""The submission to the COCO evaluation server: written by the stock metric, read back and checked."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmpose.registry import METRICS

import mmpose_mspn  # noqa: F401  registers the parts
from mmpose_mspn.data_check.problems import Report
from mmpose_mspn.evaluation.coco_submission import check_coco_submission
from tests.launching import python

TOOL = Path(__file__).parents[2] / 'tools' / 'submission.py'


def result(**changes):
    return dict(dict(image_id=1, category_id=1, keypoints=[1., 2., .5] * 17, score=.9), **changes)


def check_coco(folder, results):
    (folder / 'info.json').write_text(json.dumps(dict(images=[dict(id=number) for number in (1, 2, 3)])))
    (folder / 'result.json').write_text(json.dumps(results))
    report = Report()
    return report, report.collect(check_coco_submission(str(folder / 'result.json'), str(folder / 'info.json')))


def test_a_correct_result_and_images_without_one(tmp_path):
    report, without = check_coco(tmp_path, [result(), result(image_id=3)])
    assert not report and without == [2]


@pytest.mark.parametrize('kind, changes', [
    ('result in an unknown image', dict(image_id=9)),
    ('result of another category', dict(category_id=2)),
    ('wrong number of keypoints', dict(keypoints=[1.] * 34)),
    ('result that is not finite', dict(keypoints=[float('nan')] * 51)),
    ('result that is not finite', dict(score=float('inf'))),
    ('result that is not finite', dict(score='0.9')),
])
def test_faults_of_results(kind, changes, tmp_path):
    assert check_coco(tmp_path, [result(), result(**changes)])[0].counts == {kind: 1}


def test_incomplete_results(tmp_path):
    broken = result()
    del broken['score']
    assert check_coco(tmp_path, [broken])[0].counts == {'incomplete entry': 1}
    assert check_coco(tmp_path, dict(results=[]))[0].counts == {'unreadable file': 1}


def test_the_file_of_the_stock_metric_passes(tmp_path):
    info = dict(images=[dict(id=1, width=64, height=64, file_name='1.jpg')], categories=[dict(id=1, name='person')])
    (tmp_path / 'info.json').write_text(json.dumps(info))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(tmp_path / 'info.json'), format_only=True,
                                outfile_prefix=str(tmp_path / 'person')))
    metric.dataset_meta = dict(dataset_name='coco', num_keypoints=17, sigmas=np.full(17, .05), CLASSES=[])
    joints = np.random.default_rng(0).uniform(0, 64, (1, 17, 2)).astype(np.float32)
    metric.process([], [dict(
        id=0, img_id=1, category_id=1,
        pred_instances=dict(keypoints=joints, keypoint_scores=np.full((1, 17), .8, np.float32),
                            bboxes=np.array([[0, 0, 60, 60]], np.float32), bbox_scores=np.ones(1, np.float32)),
        gt_instances=dict(bbox_scales=np.array([[60, 60]], np.float32)))])
    metric.evaluate(1)
    report = Report()
    check = check_coco_submission(str(tmp_path / 'person.keypoints.json'), str(tmp_path / 'info.json'))
    assert report.collect(check) == []
    assert not report, str(report)


def test_tool(tmp_path):
    check_coco(tmp_path, [result(category_id=2)])
    bad = python(TOOL, 'check-coco', tmp_path / 'result.json', tmp_path / 'info.json')
    assert bad.returncode == 1, bad.stderr
    assert '2 images without a result, such as [2, 3]' in bad.stdout and 'category_id 2' in bad.stdout
