"""CPN's losses, by hand."""
import pytest
import torch

from mmpose_mspn.models.losses.cpn_loss import CPNHeatmapLoss


def flat(values, keypoints=1):
    """Heatmaps (1, K, 2, 2) of a constant for each of ``values``."""
    return [torch.full((1, keypoints, 2, 2), float(value)) for value in values]


def losses(levels, refined, targets, visible, **arguments):
    """Both losses of constant heatmaps: levels coarse first, targets wide kernel first."""
    keypoints = len(visible)
    made = CPNHeatmapLoss(**arguments)([flat(levels, keypoints), flat([refined], keypoints)],
                                      torch.stack(flat(targets, keypoints), 1), torch.tensor([visible]))
    assert list(made) == ['loss_global', 'loss_refine']
    return pytest.approx(made['loss_global'].item()), pytest.approx(made['loss_refine'].item())


def test_global_is_half_the_mean_over_levels_and_refine_learns_the_narrowest_kernel():
    assert losses([0, 0, 0, 0], 0, [1, 2, 3, 4], [2]) == ((1 + 4 + 9 + 16) / 4 / 2, 16)
    assert losses([0, 0, 0, 0], 0, [1, 2, 3, 4], [2], ohkm_topk=None) == ((1 + 4 + 9 + 16) / 4 / 2, 16)


def test_global_weight_by_hand():
    assert losses([0, 0, 0, 0], 0, [1, 2, 3, 4], [2], global_weight=2) == (2 * (1 + 4 + 9 + 16) / 4, 16)
    assert losses([0, 0, 0, 0], 0, [1, 2, 3, 4], [2], global_weight=0) == (0, 16)


def test_level_orders():
    assert losses([1, 2, 3, 4], 4, [1, 2, 3, 4], [2]) == (0, 0)
    assert losses([4, 3, 2, 1], 4, [1, 2, 3, 4], [2], level_order='fine_to_coarse') == (0, 0)
    assert losses([1, 2, 3, 4], 4, [1, 2, 3, 4], [2], level_order='fine_to_coarse') == ((9 + 1 + 1 + 9) / 4 / 2, 0)


def test_visibility():
    """GlobalNet learns that a keypoint is absent unless it is visible (2), RefineNet all that are labeled (> 0)."""
    assert losses([1, 1], 0, [1, 1], [2, 1, 0], ohkm_topk=3) == ((0 + 1 + 1) / 3 / 2, (1 + 1 + 0) / 3)
    assert losses([1, 1], 0, [1, 1], [2, 1, 0], ohkm_topk=2) == ((0 + 1 + 1) / 3 / 2, 1)
    assert losses([1, 1], 0, [1, 1], [2, 1, 0], visibility='labeled') == (1 / 3 / 2, (1 + 1 + 0) / 3)
    assert losses([1, 1], 0, [1, 1], [2, 1, 0], ohkm_topk=None) == ((0 + 1 + 1) / 3 / 2, 1 / 3)


def test_ohkm_keeps_the_hardest_keypoints_of_each_sample():
    refined = torch.zeros(2, 3, 2, 2)
    targets = torch.tensor([[1., 2., 3.], [6., 5., 4.]])[:, None, :, None, None].expand(2, 1, 3, 2, 2)
    made = CPNHeatmapLoss(ohkm_topk=2)([[refined], [refined]], targets, torch.full((2, 3), 2))
    assert made['loss_refine'].item() == pytest.approx(((9 + 4) / 2 + (36 + 25) / 2) / 2)


def test_clipped_visibility_is_refused_with_the_remedy():
    heatmaps, targets = [[torch.zeros(4, 17, 2, 2)]] * 2, torch.zeros(4, 1, 17, 2, 2)
    with pytest.raises(ValueError, match="mmpose_mspn.CocoDataset.*visibility='labeled'"):
        CPNHeatmapLoss()(heatmaps, targets, torch.ones(4, 17))
    CPNHeatmapLoss(visibility='labeled')(heatmaps, targets, torch.ones(4, 17))


def test_half_precision_outputs_give_a_float32_loss():
    maps = torch.full((1, 17, 8, 8), 300., dtype=torch.float16, requires_grad=True)  # 300² exceeds float16
    made = CPNHeatmapLoss()([[maps], [maps]], torch.zeros(1, 1, 17, 8, 8), torch.full((1, 17), 2))
    assert made['loss_global'].item() == pytest.approx(45000)
    assert made['loss_refine'].item() == pytest.approx(90000)
    sum(made.values()).backward()
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize('arguments, message', [
    (dict(ohkm_topk=0), 'ohkm_topk must be >= 1, or None for no OHKM, got 0'),
    (dict(visibility='all'), "visibility must be 'official' or 'labeled', got 'all'"),
    (dict(global_weight=-1), 'global_weight must be finite and >= 0, got -1'),
    (dict(global_weight=float('nan')), 'global_weight must be finite and >= 0, got nan'),
    (dict(global_weight=(0.5, )), r'global_weight must be finite and >= 0, got \(0.5,\)'),
    (dict(level_order='random'), "level_order must be 'coarse_to_fine' or 'fine_to_coarse', got 'random'"),
])
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CPNHeatmapLoss(**arguments)


def test_levels_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'L = 4, one kernel per level of GlobalNet, got \(1, 5, 1, 2, 2\)'):
        losses([0, 0, 0, 0], 0, [1, 2, 3, 4, 5], [2])
