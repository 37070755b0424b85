"""The head on its own, on mmpose's backbones, and our backbone under mmpose's heads."""
import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from mmpose.utils.tensor_utils import to_numpy

from tests.building import backbone, codec, estimator, head, samples

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
OUR_BACKBONE = dict(
    type='mmpose_mspn.MSPN', num_stages=2, encoder=dict(type='mmpose.ResNet', depth=18), unit_channels=16)
OUR_HEAD = dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, decoder=codec())
MMPOSE_MSPN = dict(type='mmpose.MSPN', num_stages=2, unit_channels=16, num_blocks=[1, 1, 1, 1])
MMPOSE_RSN = dict(type='mmpose.RSN', num_stages=2, unit_channels=16, num_blocks=[1, 1, 1, 1])


def test_losses_accuracy_and_shapes():
    module = head()
    features = backbone()(IMAGES)
    heatmaps = module(features)
    assert [[tuple(unit.shape) for unit in stage] for stage in heatmaps] == [[(2, 17, 16, 12)] * 4] * 2
    losses = module.loss(features, samples())
    assert set(losses) == {'loss_stage0', 'loss_stage1', 'acc_pose'}
    assert 0 <= losses['acc_pose'] <= 1


def test_the_loss_is_that_of_the_codecs_targets():
    module = head().eval()
    features = backbone().eval()(IMAGES)
    batch = samples()
    joints = torch.cat([s.gt_instance_labels.keypoint_labels for s in batch])
    visible = torch.full((2, 17), 2.)
    expected = module.loss_module(module(features), module.decoder.render(joints, visible), visible)
    losses = module.loss(features, batch)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)


def test_accuracy_of_perfect_and_of_wrong_heatmaps():
    module = head()
    joints = torch.tensor([[[13., 13.], [30., 50.], [3., 60.], [22., 22.]]])
    perfect = module.decoder.render(joints, torch.full((1, 4), 2))[:, 4]
    assert module._accuracy(perfect, joints, torch.tensor([[2, 1, 0, 2]])) == 1
    wrong = perfect[:, [1, 0, 2, 3]]  # the first two swapped; the third is not labeled
    assert module._accuracy(wrong, joints, torch.tensor([[2, 1, 0, 2]])) == pytest.approx(1 / 3)


def test_recomputation_changes_nothing_but_memory():
    found = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        module, sizes = head(with_cp=with_cp).train(), []
        features = [[unit.detach().requires_grad_() for unit in stage] for stage in backbone()(IMAGES)]
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=sizes: kept.append(t.numel()) or t, lambda t: t):
            heatmaps = module(features)
        sum(unit.square().mean() for stage in heatmaps for unit in stage).backward()
        found.append(([p.grad for p in module.parameters()], module.state_dict(), sum(sizes)))
    (gradients, state, kept), (again, state_again, kept_again) = found
    torch.testing.assert_close(again, gradients)
    torch.testing.assert_close(state_again, state)
    assert kept_again < 0.7 * kept


def test_only_the_last_predictor_runs_in_prediction():
    module = head().eval()
    runs = []
    for stage, predictors in enumerate(module.predictors):
        for unit, predictor in enumerate(predictors):
            predictor.register_forward_hook(lambda *_, place=(stage, unit): runs.append(place))
    instances = module.predict(backbone().eval()(IMAGES), samples())
    assert runs == [(1, 3)]
    assert instances[0].keypoints.shape == (1, 17, 2) and instances[0].keypoint_scores.shape == (1, 17)


def test_flip_test_averages_with_the_map_flipped_back():
    module = head(out_channels=4).eval()
    pairs = [1, 0, 2, 3]
    features, mirrored = backbone().eval()(IMAGES), backbone().eval()(IMAGES.flip(-1))
    _, fields = module.predict([features, mirrored], samples(flip_indices=pairs),
                               dict(flip_test=True, flip_mode='heatmap', output_heatmaps=True))
    expected = (module.forward_last(features) + module.forward_last(mirrored).flip(-1)[:, pairs]) / 2
    torch.testing.assert_close(torch.stack([field.heatmaps for field in fields]), expected.detach())


def test_trains_under_bf16_autocast_in_which_mmposes_head_dies():
    model = estimator(OUR_BACKBONE, OUR_HEAD).train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(IMAGES, samples())
    assert losses['loss_stage0'].dtype == torch.float32
    (losses['loss_stage0'] + losses['loss_stage1']).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize('other', [MMPOSE_MSPN, MMPOSE_RSN], ids=['MSPN', 'RSN'])
def test_our_head_on_mmposes_backbones(other):
    model = estimator(other, OUR_HEAD)
    losses = model.train().loss(IMAGES, samples())
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    predicted = model.eval().predict(IMAGES, samples(visible=2))
    assert predicted[0].pred_instances.keypoints.shape == (1, 17, 2)


def test_our_backbone_under_mmposes_mspn_head():
    codecs = [codec(kernel_sizes=(k, ), encode_as='heatmaps') for k in (15, 11, 9, 7, 5)]
    model = estimator(OUR_BACKBONE, dict(
        type='mmpose.MSPNHead', out_shape=(16, 12), unit_channels=16, out_channels=17, num_stages=2, num_units=4,
        level_indices=[0, 1, 2, 3, 1, 2, 3, 4], decoder=codecs[-1],
        loss=dict(type='mmpose.KeypointMSELoss', use_target_weight=True)))
    assert torch.isfinite(model.train().loss(IMAGES, with_targets(samples(), codecs))['loss_kpt'])
    assert model.eval().predict(IMAGES, samples())[0].pred_instances.keypoints.shape == (1, 17, 2)


def test_our_final_feature_under_mmposes_heatmap_head():
    single = codec(kernel_sizes=(7, ), encode_as='heatmaps')
    model = estimator(dict(OUR_BACKBONE, output='final'), dict(
        type='mmpose.HeatmapHead', in_channels=16, out_channels=17, deconv_out_channels=None, decoder=single,
        loss=dict(type='mmpose.KeypointMSELoss', use_target_weight=True)))
    batch = samples()
    for sample, one in zip(batch, with_targets(samples(), [single])):
        sample.gt_instance_labels = one.gt_instance_labels
        sample.gt_fields = one.gt_fields[0]
        sample.gt_instance_labels.keypoint_weights = sample.gt_instance_labels.keypoint_weights[:, 0]
    assert torch.isfinite(model.train().loss(IMAGES, batch)['loss_kpt'])
    assert model.eval().predict(IMAGES, samples())[0].pred_instances.keypoints.shape == (1, 17, 2)


def with_targets(batch: list, codecs: list) -> list:
    """What mmpose's GenerateTarget and PackPoseInputs make of the joints with several codecs."""
    from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
    made = []
    generate = GenerateTarget(multilevel=len(codecs) > 1, encoder=codecs if len(codecs) > 1 else codecs[0])
    for sample in batch:
        joints = to_numpy(sample.gt_instance_labels.keypoint_labels)
        results = generate(dict(
            transformed_keypoints=joints, keypoints_visible=np.full(joints.shape[:2], 2.), img=np.zeros((64, 48, 3))))
        if len(codecs) == 1:
            results.update(heatmaps=[results['heatmaps']], keypoint_weights=[results['keypoint_weights']])
        packed = PackPoseInputs()(results)['data_samples']
        if len(codecs) == 1:
            packed.gt_instance_labels.keypoint_weights = packed.gt_instance_labels.keypoint_weights.transpose(0, 1)
        made.append(packed)
    return made


def test_norm_cfg_and_conv_cfg_reach_every_predictor():
    module = head(norm_cfg=dict(type='GN', num_groups=1), conv_cfg=dict(type='ConvAWS'))
    kinds = {type(part).__name__ for part in module.modules()}
    assert 'GroupNorm' in kinds and not kinds & {'BatchNorm2d', 'Conv2d'}


def test_samples_without_labels_are_refused_with_the_remedy():
    batch = samples()
    for sample in batch:
        del sample.gt_instance_labels.keypoint_labels
    with pytest.raises(ValueError, match='GenerateTarget'):
        head().loss(backbone()(IMAGES), batch)


@pytest.mark.parametrize('changes, message', [
    (dict(num_stages=0), 'num_stages must be >= 1, got 0'),
    (dict(out_channels=0), 'out_channels must be >= 1, got 0'),
    (dict(loss=dict(ohkm_topk=3)), 'ohkm_topk is a switch of the head'),
    (dict(ohkm_topk=0), 'ohkm_topk must be >= 1'),
])
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        head(**changes)


def test_a_backbone_that_does_not_fit_is_named():
    features = backbone(2)(IMAGES)
    with pytest.raises(ValueError, match='gave 2 stages of .* num_stages=1'):
        head(1)(features)
    with pytest.raises(ValueError, match='gave 16 channels, the head has unit_channels=32'):
        head(2, unit_channels=32)(features)


def test_the_switches_reach_the_loss():
    module = head(coarse_to_fine=False, ohkm_topk=None, loss=dict(visibility='labeled'))
    assert (module.loss_module.coarse_to_fine, module.loss_module.ohkm_topk) == (False, None)
    assert module.loss_module.visibility_rule.visibility == 'labeled'


def test_registered_under_our_scope_only():
    assert MODELS.get('mmpose_mspn.MSPNHead') is not MODELS.get('MSPNHead')
    assert MODELS.get('MSPNHead').__module__.startswith('mmpose.')
