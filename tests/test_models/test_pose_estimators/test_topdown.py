"""The estimator: the flip test in one pass, shifted crops, checkpoints of every layout."""
import copy

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import MODELS

from mmpose_mspn.checkpoints import convert
from mmpose_mspn.models.pose_estimators.test_time_augmentation import (
    black_pixel,
    mean_heatmaps,
    shift_back,
    shift_crops,
)
from mmpose_mspn.models.pose_estimators.topdown import TopdownPoseEstimator
from mmpose_mspn.utils.errors import DataError
from tests import building, reference
from tests.small_estimator import HEATMAP_HEAD, INPUT, build, config_of, crops, predict


@pytest.mark.parametrize('name', ['mspn', 'single'])
def test_flip_test_in_one_pass_predicts_what_two_passes_do(name):
    config = config_of(num_stages=2)
    if name != 'mspn':
        config['head'] = HEATMAP_HEAD
        config['backbone']['output'] = 'final'
    ours = build(config)
    stock = MODELS.build(dict(config, type='mmpose.TopdownPoseEstimator')).eval()
    stock.load_state_dict(ours.state_dict())
    batches = []
    ours.backbone.register_forward_hook(lambda module, inputs, out: batches.append(len(inputs[0])))

    maps, samples = predict(ours)
    expected, stock_samples = predict(stock)

    assert batches == [4]
    assert torch.allclose(maps, expected, atol=1e-4 * expected.std())
    for sample, stock_sample in zip(samples, stock_samples):
        assert sample.pred_instances.keypoints == pytest.approx(stock_sample.pred_instances.keypoints, abs=1e-3)


def test_shifts_by_zero_change_nothing():
    plain = build(config_of())
    shifted = build(config_of())
    shifted.test_cfg = dict(plain.test_cfg, shift_test=[(0, 0), (0, 0)])
    maps, samples = predict(plain)
    same, same_samples = predict(shifted)
    assert torch.allclose(maps, same, atol=1e-5 * maps.std())
    assert (samples[0].pred_instances.keypoints == same_samples[0].pred_instances.keypoints).all()


def test_a_head_of_another_package_decodes_the_mean_of_the_views_alone(monkeypatch):
    """Once for each sample, and not for each view. The head itself stays as it is."""
    config = config_of()
    config['head'], config['backbone']['output'] = HEATMAP_HEAD, 'final'
    config['test_cfg']['shift_test'] = [(0, 0), (4, 0), (0, -4)]
    model = build(config)
    decoded, decode = [], MSRAHeatmap.decode
    monkeypatch.setattr(MSRAHeatmap, 'decode', lambda codec, maps: decoded.append(maps) or decode(codec, maps))
    maps, _ = predict(model)
    assert len(decoded) == 2 and (np.stack(decoded) == maps.numpy()).all()
    assert 'decode' not in vars(model.head)


class Copy(torch.nn.Module):
    """A backbone that returns the first color of every fourth px, in every keypoint's channel."""

    def forward(self, x):
        return [[x[:, :1, ::4, ::4].repeat(1, 17, 1, 1)]]


class Passing(torch.nn.Module):
    """A head that returns features as heatmaps."""

    def predict(self, feats, samples, test_cfg=None):
        from mmengine.structures import PixelData
        return [None] * len(samples), [PixelData(heatmaps=maps) for maps in feats[0][0]]


def test_shifted_views_are_moved_back():
    """With shifts by whole cells, a network that copies its input returns that input, border included."""
    model = build(config_of())
    model.backbone, model.head = Copy(), Passing()
    inputs = crops()
    shifts = [(0, 0), (4, 0), (-8, 4), (0, -12)]
    maps = mean_heatmaps(model, inputs, building.samples(2), dict(flip_test=False, shift_test=shifts))
    assert torch.allclose(maps[:, 3], inputs[:, 0, ::4, ::4], atol=1e-5)
    # A cell that is in no view stays at zero.
    alone = mean_heatmaps(model, inputs, building.samples(2), dict(shift_test=[(4, 0)]))
    assert alone[..., -1].abs().max() == 0
    assert torch.allclose(alone[:, 0, :, :-1], inputs[:, 0, ::4, :-4:4], atol=1e-5)


def test_pixels_without_content_are_black():
    model = build(config_of())
    picture = torch.arange(12.).reshape(1, 1, 3, 4).repeat(1, 3, 1, 1)
    moved = shift_crops(picture, 1, -1, black_pixel(model))
    assert moved[0, 0, :2, 1:].tolist() == [[4., 5., 6.], [8., 9., 10.]]
    # (0 - mean) / std of each channel
    for channel, value in enumerate((-100 / 50, -110 / 60, -120 / 70)):
        assert moved[0, channel, :, 0].tolist() == pytest.approx([value] * 3)
        assert moved[0, channel, 2].tolist() == pytest.approx([value] * 4)


def test_shift_back_by_part_of_a_cell_interpolates():
    maps = torch.tensor([[[[0., 0., 8., 0.]]]])
    assert shift_back(maps, 1, 0).tolist() == [[[[0., 8., 0., 0.]]]]
    assert shift_back(maps, 0.25, 0).tolist() == [[[[0., 2., 6., 0.]]]]
    assert shift_back(maps, -0.25, 0).tolist() == [[[[0., 0., 6., 2.]]]]


@pytest.mark.parametrize('shifts', [[], [(1, 2, 3)], [(0.5, 0)], 4, [3]])
def test_bad_shifts_are_refused(shifts):
    config = config_of()
    config['test_cfg']['shift_test'] = shifts
    with pytest.raises(ValueError, match='shift_test'):
        MODELS.build(config)


def test_shift_beyond_the_crop_is_refused():
    config = config_of()
    config['test_cfg']['shift_test'] = [(0, 64)]
    with pytest.raises(ValueError, match=r'48 x 64 px, got \(0, 64\)'):
        predict(build(config))


# ---------------------------------------------------------------- checkpoints


@pytest.fixture(scope='module')
def official():
    """The official 2-stage COCO network's state dict, with the values of the recordings."""
    return reference.weights(reference.record('network_state_dicts')['coco_2stg']['state_dict'])


@pytest.fixture(scope='module')
def full():
    """This package's network of that size."""
    config = config_of(num_stages=2)
    config['backbone'].update(encoder=None, unit_channels=256)
    config['head'].update(unit_channels=256)
    return MODELS.build(config).eval()


def same(model, weights):
    state = model.state_dict()
    return all(torch.equal(state[key], value) for key, value in weights.items())


def blank(model):
    for value in model.state_dict().values():
        value.zero_()


@pytest.mark.parametrize('wrap', [
    lambda weights: weights,
    lambda weights: {'model': weights, 'iteration': 96000},
    lambda weights: {'model': {f'module.{key}': value for key, value in weights.items()}, 'optimizer': {}},
    lambda weights: {'state_dict': weights, 'meta': {}},
], ids=['plain', 'model', 'module', 'state_dict'])
def test_official_checkpoint_loads_without_conversion(full, official, tmp_path, wrap):
    torch.save(wrap(official), tmp_path / 'official.pth')
    blank(full)
    load_checkpoint(full, str(tmp_path / 'official.pth'), map_location='cpu', strict=True)
    assert same(full, convert(official))


def test_load_state_dict_takes_official_and_wrapped_own_weights(full, official):
    blank(full)
    full.load_state_dict({'model': official})
    ours = {key: value.clone() for key, value in full.state_dict().items()}
    assert same(full, convert(official))
    blank(full)
    full.load_state_dict({'model': {f'module.{key}': value for key, value in ours.items()}})
    assert same(full, ours)


def test_mmposes_mspn_checkpoint_loads_with_equal_outputs(full, official, tmp_path):
    stock = MODELS.build(dict(
        type='mmpose.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', mean=[0.], std=[1.]),
        backbone=dict(type='mmpose.MSPN', unit_channels=256, num_stages=2, num_units=4, num_blocks=[3, 4, 6, 3],
                      norm_cfg=dict(type='BN')),
        head=dict(type='mmpose.MSPNHead', out_shape=(INPUT[1] // 4, INPUT[0] // 4), unit_channels=256,
                  out_channels=17, num_stages=2, num_units=4, norm_cfg=dict(type='BN'), level_indices=[0, 1, 2, 3] * 2,
                  loss=[dict(type='mmpose.KeypointMSELoss')] * 8))).eval()
    load = stock.load_state_dict(convert(official, to='mmpose'))
    assert not load.missing_keys and not load.unexpected_keys
    torch.save(dict(state_dict=stock.state_dict(), meta={}), tmp_path / 'mmpose.pth')
    blank(full)
    load_checkpoint(full, str(tmp_path / 'mmpose.pth'), map_location='cpu', strict=True)
    with torch.no_grad():
        expected = stock(crops(1), None)[-1]
        found = full(crops(1), None)[-1][-1]
    assert (found - expected).abs().max() < 1e-3 * expected.std()


def test_a_checkpoint_of_another_network_is_reported(full):
    with pytest.raises(RuntimeError, match='conv1.weight'):
        full.load_state_dict({'conv1.weight': torch.zeros(1)})


def test_own_weights_of_any_encoder_load_strictly():
    config = config_of()
    config['backbone'].update(encoder=dict(type='ResNetV1d', depth=18))
    model = build(config)
    assert isinstance(model, TopdownPoseEstimator)
    build(config).load_state_dict(model.state_dict())


def test_clipped_visibility_is_refused_before_the_batch_reaches_the_device():
    """Also where the loss itself does not look, in a compiled step."""
    model = build(config_of())
    occluded = dict(inputs=list(crops()), data_samples=building.samples(visible=1))
    model.data_preprocessor(occluded, False)
    with pytest.raises(DataError, match='none of 34 labeled keypoints has visibility 2'):
        model.data_preprocessor(occluded, training=True)


def test_one_visible_keypoint_settles_the_rule_of_the_loss():
    model = copy.deepcopy(build(config_of()))
    model.data_preprocessor(dict(inputs=list(crops()), data_samples=building.samples()), True)
    assert model.head.loss_module.visibility_rule.is_settled
    model.data_preprocessor(dict(inputs=list(crops()), data_samples=building.samples(visible=1)), True)
