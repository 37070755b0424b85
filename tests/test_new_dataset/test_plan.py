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


@pytest.mark.parametrize('network, objects, iterations', [
    ('small', 1, 3500), ('small', 500, 3500), ('small', 501, 7000), ('small', 5000, 7000), ('small', 5001, 28000),
    ('small', 50001, 112000), ('medium', 500, 1500), ('medium', 501, 3000), ('large', 5001, 12000),
    ('large', 50001, 48000)])
def test_iterations_follow_from_the_number_of_objects(network, objects, iterations):
    plan = make_plan(objects, 4, '1:1', network)
    assert plan.max_iters == iterations
    assert plan.val_interval == iterations // 10 and plan.warmup_iters == round(iterations / 16)
    # With weights to start from a third is enough, with as many validations.
    third = make_plan(objects, 4, '1:1', network, backbone=dict(num_stages=1))
    assert third.max_iters == round(iterations / 3)
    assert math.ceil(third.max_iters / third.val_interval) == 10


@pytest.mark.parametrize('objects, full', [(5000, True), (5001, True), (44800, True), (44801, False)])
def test_augmentation_follows_from_how_often_an_object_is_seen(objects, full):
    """7000 × 8 = 5 × 11200 and 28000 × 8 = 5 × 44800."""
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
