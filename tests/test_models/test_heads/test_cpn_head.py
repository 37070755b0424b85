"""GlobalNet and RefineNet on a small ResNet."""
import pytest
import torch
from mmpose.models.backbones.resnet import Bottleneck
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.models.heads.cpn_head import CPNHead, GlobalNet, RefineNet
from tests import building
from tests.small_estimator import FLIP

LEVELS = (16, 32, 64, 128)
BN = dict(conv_cfg=None, norm_cfg=dict(type='BN'))
RESNET = dict(
    type='mmpose.ResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    out_indices=(0, 1, 2, 3),
    zero_init_residual=False)  # zeroed branches would get no gradient in the first step
CODEC = building.codec(kernel_sizes=(15, 11, 9, 7))
HEAD = dict(
    type='mmpose_mspn.CPNHead', out_channels=17, in_channels=LEVELS, channels=16, decoder=CODEC)


def head(**changes) -> CPNHead:
    torch.manual_seed(0)
    made = MODELS.build({**HEAD, **changes})
    made.init_weights()
    return made


def estimator() -> nn.Module:
    torch.manual_seed(0)
    made = building.estimator(RESNET, HEAD)
    made.init_weights()
    return made


def features(batch: int = 2, columns: int = 12, rows: int = 16, seed: int = 1) -> list:
    """What a ResNet gives for a crop of 48×64."""
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, channels, max(rows >> level, 1), max(columns >> level, 1), generator=draw)
        for level, channels in enumerate(LEVELS)
    ]


def bottlenecks(module: nn.Module) -> list:
    return [child for child in module.modules() if isinstance(child, Bottleneck)]


def test_top_down_sum_by_hand():
    """Every lateral gives 1; the top-down convolution into level i adds its input and a bias of its own."""
    net = GlobalNet([3, 3, 3, 3], 2, BN).eval()
    for lateral in net.laterals:
        nn.init.zeros_(lateral.conv.weight)
        nn.init.ones_(lateral.norm.bias)
    for conv, bias in zip(net.top_downs, (10., 20., -5.)):
        conv.conv.weight.data = torch.eye(2)[:, :, None, None]
        nn.init.constant_(conv.conv.bias, bias)
    levels = net([torch.zeros(1, 3, 8 >> level, 8 >> level) for level in range(4)])
    assert [tuple(level.shape) for level in levels] == [(1, 2, 8 >> level, 8 >> level) for level in range(4)]
    # -3 = 1 + (1 - 5): there is no ReLU behind the sum
    for level, value in zip(levels, (1 + (18 + 10), 1 + (-3 + 20), -3, 1)):
        assert torch.allclose(level, torch.full_like(level, value))


def test_level_i_passes_i_bottlenecks():
    net = head().refine_net
    assert [len(bottlenecks(branch)) for branch in net.branches] == [0, 1, 2, 3]
    assert len(bottlenecks(net.merge)) == 1
    for block in bottlenecks(net):
        assert (block.out_channels, block.mid_channels, block.stride) == (16, 8, 1)


def test_refine_net_concatenates_fine_to_coarse():
    """A bottleneck whose branch is zero passes positive values on unchanged, so the merged input is known."""
    net = RefineNet(3, 2, BN).eval()
    for block in bottlenecks(net.branches):
        nn.init.zeros_(block.norm3.weight)
    seen = []
    net.merge.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net([torch.full((1, 2, 8 >> level, 8 >> level), value) for level, value in enumerate((-1., 2., -3.))], (8, 8))
    assert seen[0].shape == (1, 6, 8, 8)
    expected = torch.tensor([-1., -1., 2., 2., 0., 0.]).reshape(1, 6, 1, 1)
    assert torch.allclose(seen[0], expected.expand(1, 6, 8, 8))


def test_parameters_of_the_full_head():
    """256 channels on ResNet-50, K = 17, counted from the description."""
    with torch.device('meta'):
        count = sum(parameter.numel() for parameter in CPNHead(17, CODEC).parameters())
    predictor_3x3 = 256 * 9 * 17 + 2 * 17
    laterals = (256 + 512 + 1024 + 2048) * 256 + 4 * 2 * 256
    top_downs = 3 * (256 * 256 + 256)
    global_predictors = 4 * (256 * 256 + 2 * 256 + predictor_3x3)
    inside = 128 * 128 * 9 + 128 * 256 + 2 * (128 + 128 + 256)
    refine = 6 * (256 * 128 + inside) + 1024 * 128 + inside + 1024 * 256 + 2 * 256
    assert count == laterals + top_downs + global_predictors + refine + predictor_3x3


def test_shapes_and_order():
    levels, refined = head()(features())
    assert len(levels) == 4 and len(refined) == 1
    assert {tuple(heatmap.shape) for heatmap in [*levels, *refined]} == {(2, 17, 16, 12)}


def test_a_feature_reaches_its_own_and_the_finer_levels():
    net = head().eval()
    for changed in range(4):
        feats = features()
        before, (refined_before, ) = net(feats)
        feats[changed] = feats[changed] + 1
        after, (refined_after, ) = net(feats)
        differs = [not torch.equal(one, other) for one, other in zip(before, after)]  # coarse first
        assert differs == [3 - unit <= changed for unit in range(4)]
        assert not torch.equal(refined_before, refined_after)


def test_prediction_needs_refine_net_only():
    net = head().eval()
    expected = net(features())[-1][-1]
    del net.global_predictors
    assert torch.equal(net.forward_last(features()), expected)


def test_losses_of_a_batch():
    net = head()
    samples = building.samples(flip_indices=FLIP)
    made = net.loss(features(), samples)
    assert set(made) == {'loss_global', 'loss_refine', 'acc_pose'}
    outputs = net(features())
    keypoints = torch.cat([sample.gt_instance_labels.keypoint_labels for sample in samples])
    targets = net.decoder.render(keypoints, torch.full((2, 17), 2.))
    squares = [((heatmap - targets[:, level])**2).mean() for level, heatmap in enumerate(outputs[0])]
    assert made['loss_global'].item() == pytest.approx(sum(squares).item() / 4 / 2, rel=1e-5)
    per_joint = ((outputs[1][0] - targets[:, 3])**2).mean((2, 3))
    hardest = per_joint.sort(1).values[:, -8:]
    assert made['loss_refine'].item() == pytest.approx(hardest.mean().item(), rel=1e-5)
    assert 0 <= made['acc_pose'] <= 1


@pytest.mark.parametrize('arguments, expected', [
    (dict(), ('coarse_to_fine', 8, 'official', 0.5)),
    (dict(level_order='fine_to_coarse', ohkm_topk=3, loss=dict(visibility='labeled', global_weight=1.)),
     ('fine_to_coarse', 3, 'labeled', 1.)),
    (dict(loss=dict(level_order='fine_to_coarse', ohkm_topk=None)), ('fine_to_coarse', None, 'official', 0.5)),
    (dict(ohkm_topk=None, loss=dict(type='mmpose_mspn.CPNHeatmapLoss', level_order='fine_to_coarse', ohkm_topk=4)),
     ('fine_to_coarse', None, 'official', 0.5)),
])
def test_arguments_of_the_head_replace_those_of_the_default_loss(arguments, expected):
    loss = head(**arguments).loss_module
    assert (loss.level_order, loss.ohkm_topk, loss.visibility_rule.visibility, loss.global_weight) == expected


def test_gradient_reaches_every_parameter_of_the_estimator():
    net = estimator().train()
    losses = net.loss(torch.randn(2, 3, 64, 48), building.samples())
    (losses['loss_global'] + losses['loss_refine']).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_trains_under_bfloat16():
    net = head().train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = net.loss(features(), building.samples())
    assert losses['loss_global'].dtype == losses['loss_refine'].dtype == torch.float32
    (losses['loss_global'] + losses['loss_refine']).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_flip_test_of_a_symmetric_crop_is_symmetric():
    net = estimator().eval()
    net.test_cfg = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False, output_heatmaps=True)
    half = torch.randn(1, 3, 64, 24)
    samples = net.predict(torch.cat([half, half.flip(3)], 3), building.samples(1, flip_indices=FLIP))
    heatmaps = samples[0].pred_fields.heatmaps
    assert torch.equal(heatmaps, heatmaps[FLIP].flip(2))
    assert heatmaps.std() > 0
    assert samples[0].pred_instances.keypoints.shape == (1, 17, 2)


def test_flip_test_is_the_mean_with_the_mirrored_heatmaps_flipped_back():
    net = head().eval()
    crops, mirrored = features(seed=1), features(seed=2)
    samples = building.samples(flip_indices=FLIP)
    _, fields = net.predict([crops, mirrored], samples, dict(flip_test=True, output_heatmaps=True))
    expected = (net.forward_last(crops) + net.forward_last(mirrored)[:, FLIP].flip(3)) / 2
    assert torch.allclose(torch.stack([field.heatmaps for field in fields]), expected)


def test_default_initialization_is_xavier():
    bound = (6 / (128 + 16))**0.5
    weight = head().global_net.laterals[3].conv.weight
    assert 0.9 * bound < weight.abs().max() <= bound
    weight = head().refine_predictor[0].conv.weight
    assert weight.abs().max() <= (6 / (9 * (16 + 17)))**0.5


@pytest.mark.parametrize('changes, message', [
    (dict(out_channels=0), 'out_channels must be an integer >= 1, got 0'),
    (dict(channels=15), 'channels must be even and >= 2, got 15'),
    (dict(in_channels=(8, )), r'in_channels must hold at least two levels, fine to coarse, got \(8,\)'),
    (dict(in_channels=(8, 16, 0, 64)), r'in_channels\[2\] must be an integer >= 1, got 0'),
    (dict(decoder=building.codec()), r'one of kernel_sizes per level of in_channels, 4, got \(15, 11, 9, 7, 5\)'),
    (dict(level_order='fine_to_coarse', loss=dict(type='mmpose_mspn.MultiStageHeatmapLoss')),
     "level_order of the head can only be given with a CPNHeatmapLoss.*'mmpose_mspn.MultiStageHeatmapLoss' in loss"),
    (dict(level_order='both'), "level_order must be .* got 'both'"),
])
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        head(**changes)


def test_a_backbone_that_gives_other_levels_is_named():
    with pytest.raises(ValueError, match=r'features of \(128,\) channels.*out_indices=\(0, 1, 2, 3\)'):
        head()(features()[3:])


def test_samples_without_labels_are_refused_with_the_remedy():
    samples = building.samples()
    for sample in samples:
        del sample.gt_instance_labels.keypoint_labels
    with pytest.raises(ValueError, match='GenerateTarget.*mmpose_mspn.CoarseToFineHeatmap'):
        head().loss(features(), samples)
