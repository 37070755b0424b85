"""The official augmentation, fact by fact (PROTOCOL, "Training protocol")."""
import numpy as np
import pytest
from mmpose.datasets.transforms import RandomBBoxTransform as MMPoseRandomBBoxTransform
from mmpose.datasets.transforms import RandomFlip

from mmpose_mspn.datasets import HalfBody, RandomBBoxTransform, RandomScaleRotation, WidenBBox

DRAWS = 4000
UPPER = tuple(range(13))


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


ALL = tuple(range(17))


def person(labeled=ALL) -> dict:
    visible = np.zeros((1, 17), np.float32)
    visible[0, list(labeled)] = 2
    joints = np.stack([np.arange(17) * 10, np.arange(17) * 20], -1)[None].astype(np.float32)
    return dict(
        bbox=np.array([[10., 20., 110., 320.]]), keypoints=joints, keypoints_visible=visible,
        bbox_center=np.array([[60., 170.]]), bbox_scale=np.array([[100., 300.]]))


def test_widening_of_the_test_protocol():
    results = WidenBBox(fixed=(0.09, 0.135))(person())
    np.testing.assert_allclose(results['bbox_scale'], [[109, 340.5]])
    np.testing.assert_allclose(results['bbox_center'], [[60, 170]])


def test_random_widening_is_uniform_and_independent():
    widen = WidenBBox(fixed=(0.05, 0.05), random=(0.6, 0.8))
    sizes = np.concatenate([widen(person())['bbox_scale'] for _ in range(DRAWS)])
    shares = (sizes / np.array([105, 315]) - 1) / np.array([0.6, 0.8])
    assert shares.min() >= -1e-6 and shares.max() <= 1 + 1e-6
    np.testing.assert_allclose(np.quantile(shares, [0.1, 0.5, 0.9], axis=0).T, [[0.1, 0.5, 0.9]] * 2, atol=0.03)
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.05


def test_half_body_probability_and_normal_threshold():
    """0.3 of the people; upper when a normal draw is below 0.5, that is 69.1 % of those."""
    half = HalfBody(UPPER)
    centers = np.array([half(person())['bbox_center'][0] for _ in range(DRAWS)])
    upper, lower = (centers == [60, 120]).all(1), (centers == [145, 290]).all(1)
    assert abs(upper.sum() + lower.sum() - 0.3 * DRAWS) < 0.03 * DRAWS
    assert abs(upper.sum() / (upper.sum() + lower.sum()) - 0.691) < 0.05
    untouched = (centers == [60, 170]).all(1)
    assert (upper | lower | untouched).all()


@pytest.mark.parametrize('labeled, normal, chosen', [
    (range(17), 0.4, range(13)),
    (range(17), 0.6, range(13, 17)),
    ([0, 1, 2, 13, 14, 15, 16], 0.4, [13, 14, 15, 16]),  # 3 upper joints are too few
    ([0, 1, 2, 3, 13, 14, 15], 0.6, [0, 1, 2, 3]),  # 3 lower joints are too few: the upper ones
    ([0, 1, 2, 13, 14], 0.6, [0, 1, 2]),  # neither is enough: the upper ones, if 3
    ([0, 1, 13, 14], 0.4, None),
])
def test_which_half(labeled, normal, chosen):
    mask = person(labeled)['keypoints_visible'][0] > 0
    found = HalfBody(UPPER).select(mask, normal)
    assert (None if found is None else found.tolist()) == (None if chosen is None else list(chosen))


def test_half_body_box_spans_the_joints_widened():
    half = HalfBody(UPPER, prob=1)
    sizes = np.array([results['bbox_scale'][0] for results in (half(person()) for _ in range(DRAWS))
                      if results['bbox_center'][0, 0] == 60])
    shares = (sizes / np.array([120, 240]) - 1) / np.array([0.6, 0.8])
    assert shares.min() >= -1e-6 and shares.max() <= 1 + 1e-6
    np.testing.assert_allclose(shares.mean(0), 0.5, atol=0.03)


def test_half_body_wants_more_than_min_joints_and_counts_joints_not_visibility():
    np.testing.assert_array_equal(HalfBody(UPPER, prob=1)(person([0, 1, 2]))['bbox_scale'], [[100, 300]])
    assert (HalfBody(UPPER, prob=1)(person([0, 1, 2, 3]))['bbox_scale'] != 300).all()
    mpii = HalfBody(UPPER, prob=1, min_joints=8)
    np.testing.assert_array_equal(mpii(person(range(8)))['bbox_scale'], [[100, 300]])
    assert (mpii(person(range(9)))['bbox_scale'] != 300).all()


def test_joints_in_one_point_are_no_crop():
    results = person()
    results['keypoints'][:] = 7
    np.testing.assert_array_equal(HalfBody(UPPER, prob=1)(results)['bbox_scale'], [[100, 300]])


def test_scale_and_rotation():
    step = RandomScaleRotation(shrink=0.8, scale=(0.75, 1.25), rotation=45, rotation_prob=0.5)
    drawn = [step(person()) for _ in range(DRAWS)]
    factors = np.array([r['bbox_scale'][0] for r in drawn]) / np.array([100, 300])
    np.testing.assert_allclose(factors[:, 0], factors[:, 1])
    assert factors.min() >= 0.6 - 1e-6 and factors.max() <= 1 + 1e-6
    np.testing.assert_allclose(np.quantile(factors, [0.1, 0.5, 0.9]), [0.64, 0.8, 0.96], atol=0.01)
    angles = np.array([r['bbox_rotation'][0] for r in drawn])
    assert abs((angles == 0).mean() - 0.5) < 0.03
    turned = angles[angles != 0]
    assert np.abs(turned).max() <= 45
    np.testing.assert_allclose(np.quantile(turned, [0.1, 0.5, 0.9]), [-36, 0, 36], atol=3)


def test_visibility_survives_half_bodies_and_flips():
    results = dict(person(), img=np.zeros((40, 200, 3), np.uint8), img_shape=(40, 200),
                   flip_indices=[0, 2, 1, *range(3, 17)])
    results['keypoints_visible'][0, :3] = [0, 1, 2]
    flipped = RandomFlip(prob=1.)(HalfBody(UPPER, prob=1)(results))
    np.testing.assert_array_equal(flipped['keypoints_visible'][0, :4], [0, 2, 1, 2])


@pytest.mark.parametrize('make, message', [
    (lambda: WidenBBox(fixed=(-0.1, 0)), r'fixed must be two numbers >= 0 .*got \(-0.1, 0\)'),
    (lambda: HalfBody(UPPER, prob=1.5), 'prob must be 0 ... 1, got 1.5'),
    (lambda: HalfBody(UPPER, min_joints=-1), 'min_joints must be >= 0, got -1'),
    (lambda: RandomScaleRotation(shrink=0), 'shrink must be > 0, got 0'),
    (lambda: RandomScaleRotation(scale=(1.2, 0.8)), 'scale must be .*got'),
    (lambda: RandomScaleRotation(rotation=-3), 'rotation must be >= 0 degrees, got -3'),
    (lambda: RandomScaleRotation(rotation_prob=2), 'rotation_prob must be 0 ... 1, got 2'),
])
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_random_bbox_transform_draws_what_mmposes_does():
    ours, theirs = RandomBBoxTransform(), MMPoseRandomBBoxTransform()
    for seed in range(200):
        drawn = []
        for step in (ours, theirs):
            np.random.seed(seed)
            drawn.append(step(person()))
        for name in ('bbox_center', 'bbox_scale', 'bbox_rotation'):
            np.testing.assert_allclose(drawn[0][name], drawn[1][name], rtol=2e-6, atol=2e-6)
