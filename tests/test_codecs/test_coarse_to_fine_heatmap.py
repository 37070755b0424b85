"""Targets and decoding against the official code's recordings and against values worked out by hand."""
import copy
import pickle

import numpy as np
import pytest
import torch
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs

from mmpose_mspn import CoarseToFineHeatmap
from tests import reference
from tests.building import codec as codec_config

SIZES = {'coco_256x192': (192, 256), 'coco_384x288': (288, 384), 'mpii_256x256': (256, 256)}


def make(input_size=(48, 64), **changes) -> CoarseToFineHeatmap:
    return CoarseToFineHeatmap(input_size, (input_size[0] // 4, input_size[1] // 4), **changes)


@pytest.mark.parametrize('name', SIZES)
def test_recorded_targets(name, device):
    recorded = reference.recording('targets')
    rendered = make(SIZES[name]).render(
        *(torch.from_numpy(recorded[f'{name}/{what}']).to(device) for what in ('joints', 'visible')))
    assert rendered.dtype == torch.float32 and rendered.is_contiguous()
    assert np.abs(rendered.cpu().numpy() - recorded[f'{name}/heatmaps']).max() < 1e-4 * 255


@pytest.mark.parametrize('kernel', (5, 9, 11))
@pytest.mark.parametrize('name, input_size', [('coco', (192, 256)), ('mpii', (256, 256))])
def test_recorded_decode(name, input_size, kernel, device):
    recorded = reference.recording('decode')
    codec = make(input_size, blur_kernel_size=kernel)
    keypoints, scores = codec.batch_decode(torch.from_numpy(recorded[f'{name}/heatmaps']).to(device))
    scales, centers = recorded[f'{name}/scales_px'][:, None], recorded[f'{name}/centers'][:, None]
    in_image = np.concatenate(keypoints) / np.array(input_size) * scales + centers - scales / 2
    px_per_image_px = np.array(input_size) / scales
    difference = (in_image - recorded[f'{name}/keypoints_kernel{kernel}']) * px_per_image_px
    assert np.abs(difference).max() < 0.02
    assert np.abs(np.concatenate(scores) - recorded[f'{name}/scores_kernel{kernel}'][..., 0]).max() < 1e-3


def test_a_target_by_hand():
    """OpenCV's kernel of 5 is (1, 4, 6, 4, 1) / 16, so the row through the peak is 255 × (1, 4, 6, 4, 1) / 6."""
    rendered = make(kernel_sizes=(5, )).render(torch.tensor([[[22., 33.]]]), torch.tensor([[2]]))[0, 0, 0]
    assert rendered.shape == (16, 12)
    expected = torch.zeros(12)
    expected[3:8] = 255 * torch.tensor([1, 4, 6, 4, 1]) / 6  # the cell is (5, 8)
    torch.testing.assert_close(rendered[8], expected)
    torch.testing.assert_close(rendered[6:11, 5], 255 * torch.tensor([1, 4, 6, 4, 1]) / 6)
    assert rendered[:6].abs().sum() == 0


def test_every_level_peaks_at_255_also_in_a_corner():
    joints = torch.tensor([[[0., 0.], [47., 0.], [47., 63.], [0., 63.], [22., 33.]]])
    rendered = make().render(joints, torch.full((1, 5), 2))
    torch.testing.assert_close(rendered.amax((3, 4)), torch.full((1, 5, 5), 255.))


def test_keypoints_not_labeled_or_outside_have_empty_maps():
    joints = torch.tensor([[[22., 33.], [-9., 33.], [22., 64.], [float('nan'), 3.], [22., 33.]]])
    rendered = make().render(joints, torch.tensor([[0, 2, 2, 2, 1]]))
    assert rendered[:, :, :4].abs().sum() == 0
    assert rendered[:, :, 4].max() == 255


def test_encode_returns_keypoints_and_hides_those_outside():
    keypoints = np.array([[[0., 0.], [47., 63.], [47.1, 3.], [3., -0.1]]])
    encoded = make().encode(keypoints, np.array([[2., 1., 2., 1.]]))
    assert set(encoded) == {'keypoint_labels', 'keypoint_labels_visible'}
    np.testing.assert_array_equal(encoded['keypoint_labels_visible'], [[2, 1, 0, 0]])
    np.testing.assert_array_equal(encoded['keypoint_labels'], keypoints.astype(np.float32))
    assert encoded['keypoint_labels'].dtype == np.float32


def packed(annotated: list, **changes):
    """The sample that mmpose's steps make of keypoints of which the last lies outside the crop."""
    keypoints = np.array([[[9., 9.], [22., 33.], [30., 40.], [99., 3.]]], np.float32)
    results = dict(transformed_keypoints=keypoints, keypoints=keypoints, img=np.zeros((64, 48, 3), np.uint8),
                   keypoints_visible=np.array([annotated], np.float32))
    return PackPoseInputs()(GenerateTarget(codec_config(**changes))(results))['data_samples']


def test_labels_are_packed_as_keypoints_visible_beside_the_annotated_visibility():
    sample = packed([0, 1, 2, 2])
    assert set(sample.gt_instance_labels.keys()) == {'keypoint_labels', 'keypoints_visible'}
    assert sample.gt_instance_labels.keypoints_visible.tolist() == [[0, 1, 2, 0]]
    assert sample.gt_instances.keypoints_visible.tolist() == [[0, 1, 2, 2]]  # what metrics read


def test_stock_heads_get_weights():
    sample = packed([0, 1, 2, 2], kernel_sizes=(7, ), encode_as='heatmaps')
    assert set(sample.gt_instance_labels.keys()) == {'keypoint_weights'}
    assert sample.gt_instance_labels.keypoint_weights.tolist() == [[0, 1, 1, 0]]
    assert sample.gt_fields.heatmaps.amax((1, 2)).tolist() == [0, 255, 255, 0]


def test_rendering_does_not_change_the_codec():
    """The codec holds no tensors, so it can be copied, pickled and used on several devices."""
    codec, joints, visible = make(), torch.tensor([[[22., 33.], [3., 60.]]]), torch.tensor([[2, 1]])
    before = dict(vars(codec))
    expected = codec.render(joints, visible)
    on_meta = codec.render(joints.to('meta'), visible.to('meta'))
    assert on_meta.device.type == 'meta' and on_meta.shape == expected.shape
    assert vars(codec) == before and not any(isinstance(value, torch.Tensor) for value in before.values())
    for same in (codec, copy.deepcopy(codec), pickle.loads(pickle.dumps(codec))):
        assert vars(same) == before
        assert torch.equal(same.render(joints, visible), expected)


def test_a_rendering_in_inference_mode_does_not_affect_training():
    """Tables are cached, and inference tensors cannot be saved for a backward pass. No other test has this map size."""
    codec, joints, visible = CoarseToFineHeatmap((52, 68), (13, 17)), torch.tensor([[[22., 33.]]]), torch.tensor([[2]])
    with torch.inference_mode():
        codec.render(joints, visible)
    outputs = torch.ones(1, 5, 1, 17, 13, requires_grad=True)
    (outputs * codec.render(joints, visible)).sum().backward()
    assert outputs.grad.amax() == 255


def test_encode_as_heatmaps_for_stock_heads():
    codec = make(kernel_sizes=(7, ), encode_as='heatmaps')
    encoded = codec.encode(np.array([[[22., 33.], [99., 3.]]]), np.array([[1., 2.]]))
    assert encoded['heatmaps'].shape == (2, 16, 12) and encoded['heatmaps'].max() == 255
    np.testing.assert_array_equal(encoded['keypoint_weights'], [[1, 0]])
    with pytest.raises(ValueError, match='one codec per level'):
        make(encode_as='heatmaps')


def test_decode_by_hand():
    """A single peak with a lower neighbor on the right: moved right by 1/4 cell, then 4 px a cell and half a cell."""
    heatmaps = torch.zeros(1, 2, 16, 12)
    heatmaps[0, 0, 8, 5], heatmaps[0, 0, 8, 6] = 200, 100
    keypoints, scores = make(blur_kernel_size=1).batch_decode(heatmaps)
    assert keypoints[0].shape == (1, 2, 2) and scores[0].shape == (1, 2)
    np.testing.assert_allclose(keypoints[0][0, 0], [4 * 5.25 + 2, 4 * 8 + 2])
    assert scores[0][0, 0] == pytest.approx(200 / 255 + 0.5)
    np.testing.assert_allclose(keypoints[0][0, 1], [2, 2])  # an empty map: the corner
    assert scores[0][0, 1] == pytest.approx(0.5)


def test_render_then_decode_returns_the_cell():
    codec = make()
    cells = torch.tensor([[[5, 8], [0, 0], [11, 15], [3, 1]]])
    heatmaps = codec.render(cells * 4 + 2., torch.full((1, 4), 2))[:, 4]
    keypoints, _ = codec.batch_decode(heatmaps)
    assert np.abs((keypoints[0][0] - 2) / 4 - cells[0].numpy()).max() <= 0.25 + 1e-6


def test_single_decode_is_the_batch_decode():
    heatmaps = torch.rand(3, 5, 16, 12, generator=torch.Generator().manual_seed(0)) * 255
    codec = make()
    batch_keypoints, batch_scores = codec.batch_decode(heatmaps)
    for index in range(3):
        keypoints, scores = codec.decode(heatmaps[index].numpy())
        np.testing.assert_array_equal(keypoints, batch_keypoints[index])
        np.testing.assert_array_equal(scores, batch_scores[index])


def test_other_strides_decode_to_the_middle_of_the_cell():
    codec = CoarseToFineHeatmap((64, 64), (32, 8))
    heatmaps = torch.zeros(1, 1, 8, 32)
    heatmaps[0, 0, 3, 10] = 255
    keypoints, _ = codec.batch_decode(heatmaps)
    # Strides 2 and 8 px. Symmetric: the second maximum is the first of the four neighbors, the upper one.
    np.testing.assert_allclose(keypoints[0][0, 0], [2 * 10 + 1, 8 * 2.75 + 4])


@pytest.mark.parametrize('changes, message', [
    (dict(kernel_sizes=(15, 6)), 'kernel_sizes must hold odd numbers >= 1, got 6'),
    (dict(kernel_sizes=()), 'kernel_sizes must hold at least one'),
    (dict(blur_kernel_size=0), 'blur_kernel_size must hold odd numbers >= 1, got 0'),
    (dict(input_size=(0, 64)), r'input_size must be two sizes >= 1 .*got \(0, 64\)'),
    (dict(encode_as='maps'), "encode_as must be 'keypoints' or 'heatmaps', got 'maps'"),
])
def test_bad_arguments_are_named(changes, message):
    arguments = {'input_size': (48, 64), 'heatmap_size': (12, 16), **changes}
    with pytest.raises(ValueError, match=message):
        CoarseToFineHeatmap(**arguments)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'heatmaps must be \(B, K, 16, 12\)'):
        make().batch_decode(torch.zeros(1, 17, 12, 16))
    with pytest.raises(ValueError, match=r'visible \(B, K\)'):
        make().render(torch.zeros(2, 17, 2), torch.zeros(2, 16))
