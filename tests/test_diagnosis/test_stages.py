"""The pass over the data predicts with every predictor what the network's own prediction says of it."""
import itertools

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmpose_mspn.diagnosis.stages import Clock, has_stages, run_pass, stage_heatmaps
from mmpose_mspn.models.pose_estimators.topdown import first_stages
from tests import building
from tests.small_estimator import FLIP, HEATMAP_HEAD, build, config_of

STAGES, UNITS = 2, 4


def model_of(**test_cfg):
    config = config_of(num_stages=STAGES)
    config['test_cfg'] = dict(flip_test=True, **test_cfg)
    return build(config)


def batches(count=3, size=2):
    """As a data loader gives them: crops of uint8 and samples."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(count):
        samples = building.samples(size, flip_indices=FLIP)
        found.append(pseudo_collate([
            dict(inputs=torch.from_numpy(draw.integers(0, 256, (3, 64, 48), np.uint8)), data_samples=sample)
            for sample in samples]))
    return found


def predicted(model, loader):
    """Keypoints (N, K, 2) that the model itself predicts."""
    with torch.no_grad():
        samples = [sample for batch in loader for sample in model.test_step(batch)]
    return np.concatenate([sample.pred_instances.keypoints for sample in samples])


def keypoints_of(result, predictor):
    return np.concatenate([found['keypoints'] for found in result.instances[predictor]])


def test_every_stages_last_predictor_predicts_what_that_stage_alone_does():
    model, loader = model_of(), batches()
    result = run_pass(model, loader)
    assert sorted(result.instances) == [(stage, unit) for stage in range(STAGES) for unit in range(UNITS)]
    assert result.final == (1, 3)
    for stages in (1, 2):
        assert np.array_equal(keypoints_of(result, (stages - 1, 3)), predicted(first_stages(model, stages), batches()))


def test_the_networks_keypoints_are_those_of_the_stage_that_test_cfg_chooses():
    model = model_of(stages=1)
    result = run_pass(model, batches())
    assert result.final == (0, 3) and (1, 3) in result.instances
    assert np.array_equal(keypoints_of(result, result.final), predicted(model, batches()))


def test_shifts_count_for_the_networks_own_keypoints():
    model = model_of(shift_test=[(0, 0), (4, 2)])
    result = run_pass(model, batches(1))
    assert np.array_equal(keypoints_of(result, (1, 3)), predicted(model, batches(1)))


def test_movement_is_the_mean_distance_to_the_predictor_before():
    model, loader = model_of(), batches(2)
    result = run_pass(model, loader)
    assert result.movement[0, 0] is None
    before = decoded(model, (0, 3))
    after = decoded(model, (1, 0))
    assert result.movement[1, 0] == pytest.approx(np.linalg.norm(after - before, axis=-1).mean(), rel=1e-5)


def decoded(model, predictor):
    """Keypoints (N, K, 2) in px of the crop."""
    found = []
    for batch in batches(2):
        data = model.data_preprocessor(batch, False)
        maps = stage_heatmaps(model, data['inputs'], data['data_samples'])[predictor[0]][predictor[1]]
        found += [instances.keypoints for instances in model.head.decode(maps)]
    return np.concatenate(found)


def hooks_of(model) -> list:
    return [(dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in model.modules()]


def test_times_by_hand_and_no_hook_is_left(monkeypatch):
    """A clock that is a second later at each look. The units of a stage end one after the other, 4 in each stage; a
    predictor takes a second for the crops and one for the mirrored crops, and the decode one more; of 2 people."""
    looks = itertools.count()
    monkeypatch.setattr(Clock, 'now', lambda clock: float(next(looks)))
    model = model_of()
    before = hooks_of(model)
    result = run_pass(model, batches())
    for stage in range(STAGES):
        for unit in range(UNITS):
            ended = UNITS * stage + unit + 1
            assert result.milliseconds[stage, unit] == pytest.approx(1000 * (ended + 2 + 1) / 2)
    assert hooks_of(model) == before


def test_a_head_with_one_heatmap_has_one_predictor():
    config = config_of()
    config['head'], config['backbone']['output'] = HEATMAP_HEAD, 'final'
    model = build(config)
    assert not has_stages(model)
    result = run_pass(model, batches())
    assert list(result.instances) == [(0, 0)] and result.milliseconds == {(0, 0): None}
    assert np.array_equal(keypoints_of(result, (0, 0)), predicted(model, batches()))


def test_what_metrics_read_of_a_sample_stays():
    sample = run_pass(model_of(), batches(1)).samples[0]
    assert sample['id'] == 0 and sample['img_id'] == 0
    assert sample['gt_instances']['bbox_scores'].tolist() == [1]
