"""The head alone, on mmpose's backbones, and this package's backbone with mmpose's heads."""
import re

import mmpose
import numpy as np
import pytest
import torch
from mmengine.utils import digit_version
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import MODELS
from mmpose.utils.tensor_utils import to_numpy

from mmpose_mspn import MultiStageHeatmapLoss
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


def test_trains_under_bf16_autocast():
    model = estimator(OUR_BACKBONE, OUR_HEAD).train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(IMAGES, samples())
    assert losses['loss_stage0'].dtype == torch.float32
    (losses['loss_stage0'] + losses['loss_stage1']).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize('other', [MMPOSE_MSPN, MMPOSE_RSN], ids=['MSPN', 'RSN'])
def test_head_on_mmposes_backbones(other):
    model = estimator(other, OUR_HEAD)
    losses = model.train().loss(IMAGES, samples())
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    predicted = model.eval().predict(IMAGES, samples(visible=2))
    assert predicted[0].pred_instances.keypoints.shape == (1, 17, 2)


def test_backbone_with_mmposes_mspn_head():
    codecs = [codec(kernel_sizes=(k, ), encode_as='heatmaps') for k in (15, 11, 9, 7, 5)]
    theirs = dict(
        type='mmpose.MSPNHead', out_shape=(16, 12), unit_channels=16, out_channels=17, num_stages=2, num_units=4,
        level_indices=[0, 1, 2, 3, 1, 2, 3, 4], decoder=codecs[-1],
        loss=dict(type='mmpose.KeypointMSELoss', use_target_weight=True))
    model, batch = estimator(OUR_BACKBONE, theirs), with_targets(samples(), codecs)
    if digit_version(mmpose.__version__) < digit_version('1.3.2'):
        # Its head joins the weights of all levels along the wrong axis, so mmpose's own backbone fails with it too.
        with pytest.raises(AssertionError, match='mismatched shapes'):
            estimator(MMPOSE_MSPN, theirs).train().loss(IMAGES, batch)
    else:
        assert torch.isfinite(model.train().loss(IMAGES, batch)['loss_kpt'])
    assert model.eval().predict(IMAGES, samples())[0].pred_instances.keypoints.shape == (1, 17, 2)


def test_final_feature_with_mmposes_heatmap_head():
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
    """Samples that mmpose's GenerateTarget and PackPoseInputs make of the same keypoints with other codecs."""
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


@pytest.mark.parametrize('label', ['keypoint_labels', 'keypoints_visible'])
def test_samples_without_labels_are_refused_with_the_remedy(label):
    batch = samples()
    for sample in batch:
        delattr(sample.gt_instance_labels, label)
    with pytest.raises(ValueError, match=f'have no label {label}.*GenerateTarget'):
        head().loss(backbone()(IMAGES), batch)


def test_labels_of_a_stock_codec_are_refused():
    """mmpose's regression labels have the name keypoint_labels too, but are shares of the crop, not px."""
    generate = GenerateTarget(encoder=dict(type='mmpose.RegressionLabel', input_size=(48, 64)))
    keypoints = np.full((1, 17, 2), 9, np.float32)
    packed = PackPoseInputs()(generate(dict(
        transformed_keypoints=keypoints, keypoints_visible=np.full((1, 17), 2.), img=np.zeros((64, 48, 3)))))
    batch = [packed['data_samples']] * 2
    assert 'keypoint_labels' in batch[0].gt_instance_labels
    with pytest.raises(ValueError, match='have no label keypoints_visible.*mmpose_mspn.CoarseToFineHeatmap'):
        head().loss(backbone()(IMAGES), batch)


@pytest.mark.parametrize('changes, message', [
    (dict(num_stages=0), 'num_stages must be an integer >= 1, got 0'),
    (dict(out_channels=0), 'out_channels must be an integer >= 1, got 0'),
    (dict(ohkm_topk=0), 'ohkm_topk must be >= 1'),
    (dict(loss=dict(ohkm_topk=0)), 'ohkm_topk must be >= 1'),
    (dict(loss=dict(unit_weights=(1, 1, 1))), 'unit_weights must hold 4 weights, one per unit.* got 3'),
    (dict(num_units=3, loss=dict(unit_weights=(1, ) * 4)), 'unit_weights must hold 3 weights, one per unit.* got 4'),
    (dict(loss=dict(stage_weights=(1, ) * 4)), 'stage_weights must hold 2 weights, one per stage, got 4'),
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


FULL = dict(type='mmpose_mspn.MultiStageHeatmapLoss', coarse_to_fine=True, ohkm_topk=8)


@pytest.mark.parametrize('arguments, expected', [
    (dict(), (True, 8, 'official')),
    (dict(loss=FULL), (True, 8, 'official')),
    (dict(loss=dict(coarse_to_fine=False, ohkm_topk=3, visibility='labeled')), (False, 3, 'labeled')),
    (dict(loss=dict(ohkm_topk=None)), (True, None, 'official')),
    (dict(coarse_to_fine=False, ohkm_topk=None, loss=dict(visibility='labeled')), (False, None, 'labeled')),
    (dict(coarse_to_fine=False, loss=FULL), (False, 8, 'official')),
    (dict(coarse_to_fine=None, ohkm_topk=64, loss=FULL), (True, 64, 'official')),
    (dict(ohkm_topk=None, loss=FULL), (True, None, 'official')),
    (dict(coarse_to_fine=True, loss=dict(FULL, coarse_to_fine=False)), (True, 8, 'official')),
    (dict(ohkm_topk=2, loss=dict(type=MultiStageHeatmapLoss)), (True, 2, 'official')),
])
def test_arguments_of_the_head_replace_those_of_the_default_loss(arguments, expected):
    loss = head(**arguments).loss_module
    assert type(loss) is MultiStageHeatmapLoss
    assert (loss.coarse_to_fine, loss.ohkm_topk, loss.visibility_rule.visibility) == expected


@MODELS.register_module()
class LastUnitsOnly(torch.nn.Module):
    """A user's loss: the scaled error of the last unit of every stage, with no argument that this package knows."""

    def __init__(self, scale: float, **others) -> None:
        super().__init__()
        self.scale, self.others = scale, others

    def forward(self, outputs, targets, visible):
        assert visible.shape == targets.shape[:1] + targets.shape[2:3]
        return {f'loss_of_{stage}': self.scale * (units[-1] - targets[:, -1]).square().mean()
                for stage, units in enumerate(outputs)}


def test_a_replacement_loss_gets_its_config_only():
    module = head(loss=dict(type='LastUnitsOnly', scale=2.)).train()
    assert (module.loss_module.scale, module.loss_module.others) == (2., {})
    features, batch = backbone()(IMAGES), samples()
    losses = module.loss(features, batch)
    assert set(losses) == {'loss_of_0', 'loss_of_1', 'acc_pose'}
    joints = torch.cat([sample.gt_instance_labels.keypoint_labels for sample in batch])
    finest = module.decoder.render(joints, torch.full((2, 17), 2))[:, -1]
    expected = 2 * (module(features)[1][-1] - finest).square().mean()
    torch.testing.assert_close(losses['loss_of_1'], expected)


@pytest.mark.parametrize('arguments, names', [
    (dict(coarse_to_fine=True), 'coarse_to_fine'),
    (dict(ohkm_topk=8), 'ohkm_topk'),
    (dict(ohkm_topk=None), 'ohkm_topk'),
    (dict(coarse_to_fine=False, ohkm_topk=None), 'coarse_to_fine and ohkm_topk'),
])
def test_arguments_of_the_head_are_refused_with_a_replacement_loss(arguments, names):
    with pytest.raises(ValueError) as error:
        head(loss=dict(type='LastUnitsOnly', scale=2.), **arguments)
    # mmengine 0.7 names the class first.
    said = re.sub(r'^class `MSPNHead` in [\w/]+\.py: ', '', str(error.value))
    assert said == (f'{names} of the head can only be given with a MultiStageHeatmapLoss: remove it from '
                    "the head, and write the arguments of 'LastUnitsOnly' in loss")


def test_registered_under_our_scope_only():
    assert MODELS.get('mmpose_mspn.MSPNHead') is not MODELS.get('MSPNHead')
    assert MODELS.get('MSPNHead').__module__.startswith('mmpose.')
