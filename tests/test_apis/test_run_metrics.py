"""The metric that chooses the best checkpoint is one of the validation."""
import pytest
from mmengine.config import Config

from mmpose_mspn.apis.run_metrics import check_best

COCO = dict(type='mmpose_mspn.CocoMetric')


def config(save_best: object) -> Config:
    return Config(dict(default_hooks=dict(checkpoint=dict(save_best=save_best))))


@pytest.mark.parametrize('save_best, metrics', [
    ('coco/AP', [COCO]), ('coco/AP (M)', [COCO]), ('auto', [COCO]), (None, [COCO]), (['coco/AP', 'coco/AR'], [COCO]),
    ('crowdpose/AP(E)', [dict(COCO, prefix='crowdpose', iou_type='keypoints_crowd')]),
    ('coco-wholebody/AP', [dict(type='CocoWholeBodyMetric')]),
    ('anything', [COCO, dict(type='PCKAccuracy')]), ('anything', [])])
def test_metrics_that_are_measured_pass(save_best, metrics):
    check_best(config(save_best), metrics)


@pytest.mark.parametrize('save_best, metrics', [
    ('coco/APP', [COCO]), ('AP', [COCO]), (['coco/AP', 'coco/APP'], [COCO]), ('coco/AP (M)', [dict(
        COCO, iou_type='keypoints_crowd')]), ('coco/AP', [dict(COCO, prefix='own')])])
def test_others_are_refused(save_best, metrics):
    with pytest.raises(ValueError, match='save_best is .*, which val_evaluator does not measure'):
        check_best(config(save_best), metrics)
