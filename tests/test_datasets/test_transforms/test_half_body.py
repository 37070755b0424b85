"""Half bodies: the official rule, fact by fact (docs/protocol.md, "Training protocol"), and mmpose's."""
import numpy as np
import pytest
from mmpose.datasets.transforms import RandomFlip
from mmpose.datasets.transforms import RandomHalfBody as MmposeRandomHalfBody

from mmpose_mspn.datasets import HalfBody, RandomHalfBody
from tests.test_datasets.test_transforms.drawing import DRAWS, person

UPPER = tuple(range(13))


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def test_half_body_probability_and_normal_threshold():
    """30 % of the people; the upper half if a normal draw is below 0.5, which is 69.1 % of those."""
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
    ([0, 1, 2, 13, 14, 15, 16], 0.4, [13, 14, 15, 16]),  # 3 upper keypoints are too few
    ([0, 1, 2, 3, 13, 14, 15], 0.6, [0, 1, 2, 3]),  # 3 lower keypoints are too few: the upper ones
    ([0, 1, 2, 13, 14], 0.6, [0, 1, 2]),  # neither half has enough: the upper one, if 3
    ([0, 1, 13, 14], 0.4, None),
])
def test_which_half(labeled, normal, chosen):
    mask = person(labeled)['keypoints_visible'][0] > 0
    found = HalfBody(UPPER).select(mask, normal)
    assert (None if found is None else found.tolist()) == (None if chosen is None else list(chosen))


def test_the_box_is_the_extent_of_the_keypoints_widened():
    half = HalfBody(UPPER, prob=1)
    sizes = np.array([results['bbox_scale'][0] for results in (half(person()) for _ in range(DRAWS))
                      if results['bbox_center'][0, 0] == 60])
    shares = (sizes / np.array([120, 240]) - 1) / np.array([0.6, 0.8])
    assert shares.min() >= -1e-6 and shares.max() <= 1 + 1e-6
    np.testing.assert_allclose(shares.mean(0), 0.5, atol=0.03)


def test_half_body_needs_more_than_min_joints_and_counts_keypoints_instead_of_summing_visibility():
    np.testing.assert_array_equal(HalfBody(UPPER, prob=1)(person([0, 1, 2]))['bbox_scale'], [[100, 300]])
    assert (HalfBody(UPPER, prob=1)(person([0, 1, 2, 3]))['bbox_scale'] != 300).all()
    mpii = HalfBody(UPPER, prob=1, min_joints=8)
    np.testing.assert_array_equal(mpii(person(range(8)))['bbox_scale'], [[100, 300]])
    assert (mpii(person(range(9)))['bbox_scale'] != 300).all()


def test_keypoints_at_one_point_leave_the_box_unchanged():
    results = person()
    results['keypoints'][:] = 7
    np.testing.assert_array_equal(HalfBody(UPPER, prob=1)(results)['bbox_scale'], [[100, 300]])


def test_visibility_survives_half_bodies_and_flips():
    results = dict(person(), img=np.zeros((40, 200, 3), np.uint8), img_shape=(40, 200),
                   flip_indices=[0, 2, 1, *range(3, 17)])
    results['keypoints_visible'][0, :3] = [0, 1, 2]
    flipped = RandomFlip(prob=1.)(HalfBody(UPPER, prob=1)(results))
    np.testing.assert_array_equal(flipped['keypoints_visible'][0, :4], [0, 2, 1, 2])


@pytest.mark.parametrize('make, message', [
    (lambda: HalfBody(UPPER, prob=1.5), 'prob must be 0 ... 1, got 1.5'),
    (lambda: HalfBody(UPPER, min_joints=-1), 'min_joints must be >= 0, got -1'),
    (lambda: HalfBody(UPPER, random=(.6, -1)), r'random must be two numbers >= 0 .*got \(0.6, -1\)'),
])
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------- mmpose's half bodies


def with_halves(visible: np.ndarray) -> dict:
    return dict(person(), keypoints_visible=visible[None].astype(np.float32), upper_body_ids=list(range(11)),
                lower_body_ids=list(range(11, 17)))


@pytest.mark.parametrize('code, labeled, cropped', [(1, 8, False), (1, 9, True), (1, 12, True), (2, 8, False),
                                                    (2, 9, True)])
def test_mmposes_limit_of_nine_counts_labeled_keypoints(code, labeled, cropped):
    results = with_halves(np.where(np.arange(17) < labeled, code, 0))
    step = RandomHalfBody(prob=1.)
    assert (step(results)['bbox_scale'].tolist() != [[100, 300]]) == cropped


def test_crops_are_those_of_mmpose_for_visibility_0_and_1():
    """The same random numbers; exactly. The sample keeps visibility 0/1/2."""
    ours, stock = RandomHalfBody(prob=.5), MmposeRandomHalfBody(prob=.5)
    draw = np.random.default_rng(0)
    half_bodies = 0
    for seed in range(500):
        visible = draw.choice(3, 17, p=draw.dirichlet(np.ones(3)))
        np.random.seed(seed)
        mine = ours(with_halves(visible))
        np.random.seed(seed)
        theirs = stock(with_halves(np.minimum(visible, 1)))
        for name in ('bbox_center', 'bbox_scale'):
            np.testing.assert_array_equal(mine[name], theirs[name])
        np.testing.assert_array_equal(mine['keypoints_visible'], [visible])
        half_bodies += mine['bbox_scale'].tolist() != [[100, 300]]
    assert 50 < half_bodies < 450
