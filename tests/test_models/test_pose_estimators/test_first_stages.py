"""The first stages alone predict, bit for bit, what their last predictor does inside the whole network."""
import copy
import sys

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from mmpose_mspn import accelerate
from mmpose_mspn.models.pose_estimators.test_time_augmentation import extract_views
from mmpose_mspn.models.pose_estimators.topdown import first_stages
from tests import building
from tests.small_estimator import FLIP, HEATMAP_HEAD, build, config_of, crops, predict

STAGES = 3


def model_of(**test_cfg):
    config = config_of(num_stages=STAGES)
    config['test_cfg'].update(test_cfg)
    return build(config)


def whole_network_heatmaps(model, inputs, stage):
    """Of the stage's last predictor, with the flip test."""
    with torch.no_grad():
        straight, mirrored = (model.head(feats)[stage][-1] for feats in extract_views(model, inputs, True))
    return (straight + mirrored.flip(-1)[:, FLIP]) * 0.5


@pytest.mark.parametrize('stages', range(1, STAGES + 1))
def test_bit_for_bit_what_the_stage_predicts_in_the_whole_network(stages):
    expected = whole_network_heatmaps(model_of(), crops(), stages - 1)
    heatmaps, samples = predict(model_of(stages=stages))
    assert torch.equal(heatmaps, expected)
    decoded = model_of().head.decode(expected)
    for sample, instances in zip(samples, decoded):
        assert np.array_equal(sample.pred_instances.keypoint_scores, instances.keypoint_scores)


def test_all_stages_are_the_network():
    assert torch.equal(predict(model_of(stages=STAGES))[0], predict(model_of())[0])


def test_later_stages_and_other_predictors_do_not_run():
    model = model_of(stages=2)
    ran = []
    watched = {f'stage {index}': stage for index, stage in enumerate(model.backbone.stages[2:], 2)}
    watched['to_next'] = model.backbone.stages[1].to_next
    watched.update({f'skip {index}': unit.skip_encoder for index, unit in enumerate(model.backbone.stages[1].units)})
    watched.update({f'predictor {stage}.{unit}': predictor for stage, units in enumerate(model.head.predictors)
                    for unit, predictor in enumerate(units) if (stage, unit) != (1, 3)})
    for name, module in watched.items():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    model.head.predictors[1][3].register_forward_hook(lambda *_: ran.append('the last predictor'))
    predict(model)
    assert ran == ['the last predictor'] * 2  # with the mirrored crop


def test_the_part_shares_the_weights_and_leaves_the_network_as_it_is():
    model = model_of()
    before, names = predict(model)[0], list(model.state_dict())
    part = first_stages(model, 1)
    assert part.backbone.stem is model.backbone.stem
    assert part.head.predictors[0] is model.head.predictors[0]
    assert set(part.state_dict()) < set(names) and list(model.state_dict()) == names
    assert not any('skip_' in name or 'to_next' in name for name in part.state_dict())
    assert torch.equal(predict(model)[0], before)


def test_settings_changed_later_count_at_once():
    model = model_of()
    model.test_cfg['stages'] = 1
    assert torch.equal(predict(model)[0], whole_network_heatmaps(model_of(), crops(), 0))


def test_weights_of_all_stages_load_and_train():
    model = model_of(stages=1)
    model.load_state_dict(model_of().state_dict())
    losses = model.train()(crops(), building.samples(2, flip_indices=FLIP), mode='loss')
    assert [f'loss_stage{stage}' in losses for stage in range(STAGES)] == [True] * STAGES


def test_shifted_crops_of_the_first_stages():
    shifted = model_of(stages=1, shift_test=[(0, 0), (4, 0)])
    part = first_stages(model_of(shift_test=[(0, 0), (4, 0)]), 1)
    assert torch.equal(predict(shifted)[0], predict(part)[0])


@pytest.mark.parametrize('by_test_cfg', [True, False])
def test_an_accelerated_copy_of_the_first_stages(by_test_cfg):
    model = model_of(stages=2) if by_test_cfg else model_of()
    fast = accelerate(model) if by_test_cfg else accelerate(model, stages=2)
    expected = whole_network_heatmaps(model_of(), crops(), 1)
    torch.testing.assert_close(predict(fast)[0], expected, rtol=0, atol=1e-4 * expected.std().item())
    assert len(model.backbone.stages) == STAGES


def test_an_accelerated_copy_holds_no_weights_of_later_stages(monkeypatch):
    monkeypatch.setattr(sys.modules['mmpose_mspn.deploy.accelerate'], 'can_pack', lambda device, dtype: False)
    fast = accelerate(model_of(), stages=2)
    assert len(fast.backbone.stages) == len(fast.head.predictors) == 2
    assert not any('stages.2' in name or 'predictors.2' in name for name in fast.state_dict())


@pytest.mark.parametrize('stages', [0, STAGES + 1, 1.5, True])
def test_other_numbers_of_stages_are_refused(stages):
    with pytest.raises(ValueError, match=rf'stages must be 1 \.\.\. num_stages \({STAGES}\), got {stages}'):
        model_of(stages=stages)
    with pytest.raises(ValueError, match='stages must be 1'):
        accelerate(model_of(), stages=stages)


def test_a_model_without_a_predictor_for_each_stage_is_refused():
    config = config_of()
    config['test_cfg']['stages'] = 1
    config['backbone']['output'] = 'final'
    config['head'] = HEATMAP_HEAD
    with pytest.raises(ValueError, match='got MSPN and HeatmapHead'):
        MODELS.build(copy.deepcopy(config))
    with pytest.raises(ValueError, match='got NoneType and NoneType|an accelerated copy takes'):
        fast = accelerate(model_of())
        fast.test_cfg = dict(fast.test_cfg, stages=1)
        predict(fast)
