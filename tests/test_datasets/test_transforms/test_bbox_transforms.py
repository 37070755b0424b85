"""The official boxes, fact by fact (docs/protocol.md, "Training protocol"), and mmpose's random boxes."""
import numpy as np
import pytest
from mmpose.datasets.transforms import RandomBBoxTransform as MmposeRandomBBoxTransform

from mmpose_mspn.datasets import RandomBBoxTransform, RandomScaleRotation, WidenBBox
from tests.test_datasets.test_transforms.drawing import DRAWS, person


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


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


@pytest.mark.parametrize('make, message', [
    (lambda: WidenBBox(fixed=(-0.1, 0)), r'fixed must be two numbers >= 0 .*got \(-0.1, 0\)'),
    (lambda: RandomScaleRotation(shrink=0), 'shrink must be > 0, got 0'),
    (lambda: RandomScaleRotation(scale=(1.2, 0.8)), 'scale must be .*got'),
    (lambda: RandomScaleRotation(rotation=-3), 'rotation must be >= 0 degrees, got -3'),
    (lambda: RandomScaleRotation(rotation_prob=2), 'rotation_prob must be 0 ... 1, got 2'),
])
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_random_bbox_transform_draws_what_mmposes_does():
    ours, theirs = RandomBBoxTransform(), MmposeRandomBBoxTransform()
    for seed in range(200):
        drawn = []
        for step in (ours, theirs):
            np.random.seed(seed)
            drawn.append(step(person()))
        for name in ('bbox_center', 'bbox_scale', 'bbox_rotation'):
            np.testing.assert_allclose(drawn[0][name], drawn[1][name], rtol=2e-6, atol=2e-6)
