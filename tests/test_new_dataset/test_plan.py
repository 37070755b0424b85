"""The tables that choose network, crops, schedule and augmentation."""
import math

import pytest

from mmpose_mspn.new_dataset.plan import ASPECTS, NETWORKS, choose_aspect, choose_network, make_plan


@pytest.mark.parametrize('boxes, aspect, median', [
    ([(0, 0, 50, 100)], '1:2', 0.5), ([(0, 0, 10, 90), (0, 0, 80, 100), (0, 0, 99, 1)], '3:4', 0.8),
    ([(0, 0, 9, 10)], '1:1', 0.9), ([(0, 0, 100, 70)], '4:3', 1 / 0.7), ([(0, 0, 100, 10)], '2:1', 10),
])
def test_the_crop_has_the_shape_of_the_boxes(boxes, aspect, median):
    assert choose_aspect(boxes) == (aspect, pytest.approx(median))


@pytest.mark.parametrize('objects, has_gpu, network', [
    (1, False, 'small'), (10**6, False, 'small'), (60, True, 'medium'), (5000, True, 'medium'), (5001, True, 'large'),
])
def test_the_network_follows_from_the_device_and_the_number_of_objects(objects, has_gpu, network):
    assert choose_network(objects, has_gpu) == network


@pytest.mark.parametrize('objects, iterations', [
    (1, 1500), (500, 1500), (501, 3000), (5000, 3000), (5001, 12000), (50001, 48000)])
def test_iterations_follow_from_the_number_of_objects(objects, iterations):
    plan = make_plan(objects, 4, '1:1', 'small')
    assert plan.max_iters == iterations
    assert plan.val_interval == iterations // 10 and plan.warmup_iters == round(iterations / 16)
    # With weights to start from a third is enough.
    assert make_plan(objects, 4, '1:1', 'small', backbone=dict(num_stages=1)).max_iters == round(iterations / 3)


@pytest.mark.parametrize('objects, full', [(4800, True), (4801, True), (38400, True), (38401, False)])
def test_augmentation_follows_from_how_often_an_object_is_seen(objects, full):
    """3000 × 16 = 5 × 9600 and 12000 × 16 = 5 × 38400."""
    assert make_plan(objects, 4, '1:1', 'small').full_augmentation == full


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('aspect', ASPECTS)
def test_crops_and_heatmaps_agree(network, aspect):
    plan = make_plan(60, 4, aspect, network)
    (width, height), cell = plan.input_size, NETWORKS[network].cell
    assert math.isclose(width / height, ASPECTS[aspect]) and not width % 32 and not height % 32
    assert plan.heatmap_size == (width / cell, height / cell)
    # In px the kernels are the official ones.
    assert [(kernel - 1) * cell for kernel in plan.kernel_sizes] == [56, 40, 32, 24, 16]


@pytest.mark.parametrize('keypoints, kept', [(1, 8), (17, 8), (40, 20), (200, 100)])
def test_mining_keeps_about_half_of_the_keypoints_and_never_fewer_than_the_official_8(keypoints, kept):
    assert make_plan(60, keypoints, '1:1', 'small').ohkm_topk == kept
