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
def test_recorded_losses_and_gradients(stages, ctf, ohkm, device):
    recorded = reference.recording('loss')
    outputs = [[torch.from_numpy(unit).float().to(device).requires_grad_() for unit in stage]
               for stage in recorded['outputs'][:stages]]
    targets, visible = (torch.from_numpy(recorded[name]).to(device) for name in ('heatmaps', 'visible'))
    module = MultiStageHeatmapLoss(coarse_to_fine=bool(ctf), ohkm_topk=8 if ohkm else None)
    losses = module(outputs, targets, visible)
    assert list(losses) == [f'loss_stage{stage}' for stage in range(stages)]
    total(losses).backward()
    key = f'total/stages{stages}_ctf{ctf}_ohkm{ohkm}'
    assert abs(total(losses).item() / recorded[key] - 1) < 1e-4
    norms = np.array([[unit.grad.norm().item() for unit in stage] for stage in outputs])
    np.testing.assert_allclose(norms, recorded[f'{key}/grad_norm'], rtol=1e-4)


def one_unit(visible, ohkm_topk=None, **arguments):
    """Loss of a 1-stage 1-unit output of zeros; keypoint k's target is k + 1 everywhere, so its error is (k + 1)²."""
    keypoints = len(visible)
    targets = torch.arange(1., keypoints + 1).reshape(1, 1, keypoints, 1, 1).expand(1, 1, keypoints, 2, 2)
    module = MultiStageHeatmapLoss(coarse_to_fine=False, ohkm_topk=ohkm_topk, **arguments)
    return total(module([[torch.zeros(1, keypoints, 2, 2)]], targets, torch.tensor([visible]))).item()


def test_values_by_hand():
    assert one_unit([2, 2, 2]) == pytest.approx((1 + 4 + 9) / 3)
    assert one_unit([2, 1, 0]) == pytest.approx(1 / 3)  # targets of the others are zeroed, and zero is predicted
    assert one_unit([2, 1, 0], visibility='labeled') == pytest.approx((1 + 4) / 3)
    assert one_unit([2, 2, 2], ohkm_topk=1) == pytest.approx(9)
    assert one_unit([2, 2, 2], ohkm_topk=2) == pytest.approx((4 + 9) / 2)
    assert one_unit([2, 1, 0], ohkm_topk=2) == pytest.approx((1 + 4) / 2)  # labeled keypoints count, occluded or not
    assert one_unit([2, 2, 2], ohkm_topk=8) == pytest.approx(14 / 3)  # fewer keypoints than top-k: all of them


def test_coarse_units_learn_that_occluded_keypoints_are_absent():
    """The official rule zeroes the target, not the loss: a peak predicted for an occluded keypoint is an error."""
    prediction = [[torch.ones(1, 2, 2, 2)]]
    targets = torch.ones(1, 1, 2, 2, 2)
    loss = total(MultiStageHeatmapLoss(False, None)(prediction, targets, torch.tensor([[2, 1]])))
    assert loss.item() == pytest.approx(0.5)


def constant_errors(stages: int, units: int):
    """Outputs and targets of 1 keypoint in which unit u of stage s has the error 10 ** (units * s + u)."""
    outputs = [[torch.full((1, 1, 2, 2), 10. ** ((units * stage + unit) / 2)) for unit in range(units)]
               for stage in range(stages)]
    return outputs, torch.zeros(1, units, 1, 2, 2), torch.tensor([[2]])


def stage_losses(stages: int, units: int, **arguments) -> list:
    """Losses by stage of :func:`constant_errors`."""
    losses = MultiStageHeatmapLoss(coarse_to_fine=False, **arguments)(*constant_errors(stages, units))
    assert list(losses) == [f'loss_stage{stage}' for stage in range(stages)]
    return pytest.approx([value.item() for value in losses.values()])


def test_weights_by_hand():
    assert stage_losses(2, 2) == [0.25 + 10, 25 + 1000]
    assert stage_losses(1, 4) == [(1 + 10 + 100) / 4 + 1000]
    assert stage_losses(2, 2, unit_weights=(3, 0.5)) == [3 + 5, 300 + 500]
    assert stage_losses(2, 2, unit_weights=[0, 1]) == [10, 1000]
    assert stage_losses(2, 2, stage_weights=(2, 0.1)) == [0.5 + 20, 2.5 + 100]
    assert stage_losses(2, 2, stage_weights=(0, 1)) == [0, 25 + 1000]
    assert stage_losses(2, 2, unit_weights=(3, 0.5), stage_weights=(2, 0.1)) == [6 + 10, 30 + 50]
    assert stage_losses(2, 2, unit_weights=(3, 0.5), ohkm_topk=None) == [3 + 5, 300 + 500]


def test_default_weights_are_the_papers():
    for stages, units in ((1, 4), (3, 4)):
        assert stage_losses(stages, units) == [
            value.item() for value in MultiStageHeatmapLoss(
                coarse_to_fine=False, unit_weights=(0.25, 0.25, 0.25, 1.0), stage_weights=[1] * stages)(
                    *constant_errors(stages, units)).values()]


def test_a_weight_of_zero_gives_zero_gradients():
    """Not None, which distributed training would report as an unused parameter."""
    outputs, targets, visible = constant_errors(2, 2)
    for units in outputs:
        for unit in units:
            unit.requires_grad_()
    total(MultiStageHeatmapLoss(False, unit_weights=(0, 1), stage_weights=(1, 2))(outputs, targets, visible)).backward()
    gradients = [[unit.grad.abs().sum().item() for unit in units] for units in outputs]
    # The error's derivative by each of 4 cells is 2 * value / 4.
    assert gradients == [[0, pytest.approx(2 * 10**0.5)], [0, pytest.approx(2 * 2 * 10**1.5)]]


@pytest.mark.parametrize('arguments, message', [
    (dict(unit_weights=(1, 1, 1)),
     r'unit_weights must hold 2 weights, one per unit, coarse unit first, got 3: \(1, 1, 1\)'),
    (dict(unit_weights=[1]), 'unit_weights must hold 2 weights'),
    (dict(stage_weights=(1, 1)), r'stage_weights must hold 3 weights, one per stage, got 2: \(1, 1\)'),
])
def test_weights_of_another_number_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        stage_losses(3, 2, **arguments)


@pytest.mark.parametrize('name', ['unit_weights', 'stage_weights'])
@pytest.mark.parametrize('value', [
    (), [], (1, -0.1), (1, float('nan')), (float('inf'), ), (1, '1'), (None, ), (True, ), 0.25, 'ab', {1: 1}], ids=str)
def test_weights_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError) as error:
        MultiStageHeatmapLoss(**{name: value})
    assert str(error.value) == f'{name} must list at least one weight, each finite and >= 0, or be None, got {value!r}'


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
    for _ in range(4):  # 16 occluded keypoints are possible
        module(*step)
    with pytest.raises(ValueError, match='none of 20 labeled keypoints'):
        module(*step)


def test_a_fully_occluded_person_is_accepted_after_a_visible_keypoint():
    module = MultiStageHeatmapLoss(False)
    heatmaps, targets = [[torch.zeros(2, 17, 2, 2)]], torch.zeros(2, 1, 17, 2, 2)
    module(heatmaps, targets, torch.tensor([[2] + [0] * 16, [1] * 17]))
    for _ in range(3):
        module(heatmaps, targets, torch.ones(2, 17))


def test_without_labels_the_loss_of_the_last_unit_is_zero():
    loss = total(MultiStageHeatmapLoss(False, 8)([[torch.ones(2, 17, 4, 4)]], torch.zeros(2, 1, 17, 4, 4),
                                                 torch.zeros(2, 17)))
    assert loss.item() == 0


def test_half_precision_outputs_give_a_float32_loss():
    outputs = [[torch.full((1, 17, 8, 8), 200., dtype=torch.float16, requires_grad=True)]]
    loss = total(MultiStageHeatmapLoss(False)(outputs, torch.zeros(1, 1, 17, 8, 8), torch.full((1, 17), 2)))
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(40000)
    loss.backward()
    assert torch.isfinite(outputs[0][0].grad).all()


@pytest.mark.parametrize('arguments, message', [
    (dict(ohkm_topk=0), 'ohkm_topk must be >= 1, or None for no OHKM, got 0'),
    (dict(visibility='all'), "visibility must be 'official' or 'labeled', got 'all'"),
])
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiStageHeatmapLoss(**arguments)


def test_too_few_levels_are_named():
    outputs = [[torch.zeros(1, 3, 2, 2)] * 4]
    with pytest.raises(ValueError, match='L >= 5 for 4 units and coarse_to_fine=True'):
        MultiStageHeatmapLoss()(outputs, torch.zeros(1, 4, 3, 2, 2), torch.full((1, 3), 2))
