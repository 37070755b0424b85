"""The losses against the official code's recordings and against values worked out by hand."""
import itertools

import numpy as np
import pytest
import torch

from mmpose_mspn import MultiStageHeatmapLoss
from tests import reference

COMBINATIONS = list(itertools.product((1, 2), (0, 1), (0, 1)))


def total(losses: dict) -> torch.Tensor:
    return sum(losses.values())


@pytest.mark.parametrize('stages, ctf, ohkm', COMBINATIONS)
def test_recorded_losses_and_gradients(stages, ctf, ohkm):
    recorded = reference.recording('loss')
    outputs = [[torch.from_numpy(unit).float().requires_grad_() for unit in stage]
               for stage in recorded['outputs'][:stages]]
    module = MultiStageHeatmapLoss(coarse_to_fine=bool(ctf), ohkm_topk=8 if ohkm else None)
    losses = module(outputs, torch.from_numpy(recorded['heatmaps']), torch.from_numpy(recorded['visible']))
    assert list(losses) == [f'loss_stage{stage}' for stage in range(stages)]
    total(losses).backward()
    key = f'total/stages{stages}_ctf{ctf}_ohkm{ohkm}'
    assert abs(total(losses).item() / recorded[key] - 1) < 1e-4
    norms = np.array([[unit.grad.norm().item() for unit in stage] for stage in outputs])
    np.testing.assert_allclose(norms, recorded[f'{key}/grad_norm'], rtol=1e-4)


def one_unit(visible, ohkm_topk=None, **switches):
    """Loss of a 1-stage 1-unit output of zeros; joint k's target is k + 1 everywhere, so its error is (k + 1)²."""
    keypoints = len(visible)
    targets = torch.arange(1., keypoints + 1).reshape(1, 1, keypoints, 1, 1).expand(1, 1, keypoints, 2, 2)
    module = MultiStageHeatmapLoss(coarse_to_fine=False, ohkm_topk=ohkm_topk, **switches)
    return total(module([[torch.zeros(1, keypoints, 2, 2)]], targets, torch.tensor([visible]))).item()


def test_values_by_hand():
    assert one_unit([2, 2, 2]) == pytest.approx((1 + 4 + 9) / 3)
    assert one_unit([2, 1, 0]) == pytest.approx(1 / 3)  # targets of the others are zeroed, and zero is predicted
    assert one_unit([2, 1, 0], visibility='labeled') == pytest.approx((1 + 4) / 3)
    assert one_unit([2, 2, 2], ohkm_topk=1) == pytest.approx(9)
    assert one_unit([2, 2, 2], ohkm_topk=2) == pytest.approx((4 + 9) / 2)
    assert one_unit([2, 1, 0], ohkm_topk=2) == pytest.approx((1 + 4) / 2)  # labeled joints count, hidden or not
    assert one_unit([2, 2, 2], ohkm_topk=8) == pytest.approx(14 / 3)  # fewer joints than top-k: all of them


def test_hidden_joints_are_taught_to_be_absent():
    """The official rule zeroes the target, not the loss: a peak predicted for an occluded joint costs."""
    prediction = [[torch.ones(1, 2, 2, 2)]]
    targets = torch.ones(1, 1, 2, 2, 2)
    loss = total(MultiStageHeatmapLoss(False, None)(prediction, targets, torch.tensor([[2, 1]])))
    assert loss.item() == pytest.approx(0.5)


def test_levels_of_coarse_to_fine():
    module = MultiStageHeatmapLoss(coarse_to_fine=True)
    assert [module.level(0, unit, 2) for unit in range(4)] == [0, 1, 2, 3]
    assert [module.level(1, unit, 2) for unit in range(4)] == [1, 2, 3, 4]
    assert [module.level(0, unit, 1) for unit in range(4)] == [1, 2, 3, 4]
    assert [MultiStageHeatmapLoss(False).level(1, unit, 2) for unit in range(4)] == [0, 1, 2, 3]


def test_clipped_visibility_is_refused_with_the_remedy():
    heatmaps, targets = [[torch.zeros(4, 17, 2, 2)]], torch.zeros(4, 1, 17, 2, 2)
    with pytest.raises(ValueError, match="mmpose_mspn.CocoDataset.*visibility='labeled'"):
        MultiStageHeatmapLoss(False)(heatmaps, targets, torch.ones(4, 17))
    MultiStageHeatmapLoss(False, visibility='labeled')(heatmaps, targets, torch.ones(4, 17))


def test_clipped_visibility_is_caught_over_small_batches_too():
    module = MultiStageHeatmapLoss(False)
    step = ([[torch.zeros(1, 4, 2, 2)]], torch.zeros(1, 1, 4, 2, 2), torch.ones(1, 4))
    for _ in range(4):  # 16 occluded joints may happen
        module(*step)
    with pytest.raises(ValueError, match='none of 20 labeled joints'):
        module(*step)


def test_a_person_all_occluded_passes_once_a_visible_joint_was_seen():
    module = MultiStageHeatmapLoss(False)
    heatmaps, targets = [[torch.zeros(2, 17, 2, 2)]], torch.zeros(2, 1, 17, 2, 2)
    module(heatmaps, targets, torch.tensor([[2] + [0] * 16, [1] * 17]))
    for _ in range(3):
        module(heatmaps, targets, torch.ones(2, 17))


def test_nothing_labeled_costs_nothing_in_the_last_unit():
    loss = total(MultiStageHeatmapLoss(False, 8)([[torch.ones(2, 17, 4, 4)]], torch.zeros(2, 1, 17, 4, 4),
                                                 torch.zeros(2, 17)))
    assert loss.item() == 0


def test_half_precision_outputs_give_a_float32_loss():
    outputs = [[torch.full((1, 17, 8, 8), 200., dtype=torch.float16, requires_grad=True)]]
    loss = total(MultiStageHeatmapLoss(False)(outputs, torch.zeros(1, 1, 17, 8, 8), torch.full((1, 17), 2)))
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(40000)
    loss.backward()
    assert torch.isfinite(outputs[0][0].grad).all()


@pytest.mark.parametrize('switches, message', [
    (dict(ohkm_topk=0), 'ohkm_topk must be >= 1, or None for no OHKM, got 0'),
    (dict(visibility='all'), "visibility must be 'official' or 'labeled', got 'all'"),
])
def test_bad_arguments_are_named(switches, message):
    with pytest.raises(ValueError, match=message):
        MultiStageHeatmapLoss(**switches)


def test_too_few_levels_are_named():
    outputs = [[torch.zeros(1, 3, 2, 2)] * 4]
    with pytest.raises(ValueError, match='L >= 5 for 4 units and coarse_to_fine=True'):
        MultiStageHeatmapLoss()(outputs, torch.zeros(1, 4, 3, 2, 2), torch.full((1, 3), 2))
