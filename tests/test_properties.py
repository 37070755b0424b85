"""Properties of codec, losses and key maps for any size, stride, content and number of keypoints."""
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpose_mspn import CoarseToFineHeatmap, MultiStageHeatmapLoss
from mmpose_mspn.checkpoints import convert
from mmpose_mspn.checkpoints.convert import LAYOUTS, translate

fast = settings(max_examples=30, deadline=None, derandomize=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
sizes = st.integers(4, 24)
keypoint_numbers = st.one_of(st.integers(1, 20), st.integers(21, 200))
odd = st.integers(0, 7).map(lambda half: 2 * half + 1)


@st.composite
def codecs(draw, levels=5):
    heatmap_size = (draw(sizes), draw(sizes))
    stride = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return CoarseToFineHeatmap(
        tuple(cells * step for cells, step in zip(heatmap_size, stride)), heatmap_size,
        tuple(draw(odd) for _ in range(levels)), draw(odd))


@st.composite
def people(draw):
    """A codec, and keypoints in and around its crop, some of them NaN or infinite."""
    codec = draw(codecs())
    batch, keypoints = draw(st.integers(1, 3)), draw(keypoint_numbers)
    generator = np.random.default_rng(draw(st.integers(0, 9999)))
    places = generator.uniform(-1, 2, (batch, keypoints, 2)) * codec.input_size
    places[generator.random((batch, keypoints)) < 0.05] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e30]))
    visible = generator.integers(0, 3, (batch, keypoints)) * draw(st.integers(0, 1))
    return codec, places.astype(np.float32), visible.astype(np.float32)


@fast
@given(people())
def test_targets_peak_in_the_keypoints_cell_or_are_empty(case):
    codec, places, visible = case
    maps = codec.render(torch.from_numpy(places), torch.from_numpy(visible)).numpy()
    columns, rows = codec.heatmap_size
    assert maps.shape == (len(places), 5, places.shape[1], rows, columns) and np.isfinite(maps).all()
    cells = np.floor(places * np.float32(codec.heatmap_size) / np.float32(codec.input_size))
    with np.errstate(invalid='ignore'):
        drawn = (visible >= 1) & (cells >= 0).all(-1) & (cells < codec.heatmap_size).all(-1)
    peaks = maps.max((-1, -2))
    np.testing.assert_allclose(peaks, np.broadcast_to(drawn[:, None] * 255., peaks.shape), rtol=1e-6)
    for sample, joint in np.argwhere(drawn):
        x, y = cells[sample, joint].astype(int)
        assert (maps[sample, :, joint, y, x] > 0).all()


@fast
@given(people())
def test_encoding_hides_keypoints_outside(case):
    codec, places, visible = case
    found = codec.encode(places, visible)['keypoint_labels_visible']
    outside = ~((places >= 0) & (places <= np.array(codec.input_size) - 1)).all(-1)
    assert (found[outside] == 0).all() and (found[~outside] == visible[~outside]).all()


@fast
@given(codecs(), st.integers(1, 3), keypoint_numbers,
       st.sampled_from([0., 1., -1., 255., float('nan'), float('inf'), float('-inf')]), st.integers(0, 9999))
def test_decoded_keypoints_are_in_the_crop_whatever_the_maps(codec, batch, keypoints, fill, seed):
    columns, rows = codec.heatmap_size
    maps = torch.full((batch, keypoints, rows, columns), fill)
    generator = torch.Generator().manual_seed(seed)
    some = torch.rand(maps.shape, generator=generator) < 0.5
    maps = torch.where(some, torch.randn(maps.shape, generator=generator), maps)
    for decoded in (codec.batch_decode(maps), codec.batch_decode(torch.full_like(maps, fill))):
        for places, scores in zip(*decoded):
            assert places.shape == (1, keypoints, 2) and scores.shape == (1, keypoints)
            assert (places >= 0).all() and (places <= codec.input_size).all()


@fast
@given(codecs(), st.integers(1, 3), keypoint_numbers, st.integers(0, 9999))
def test_a_sample_decodes_the_same_alone(codec, batch, keypoints, seed):
    columns, rows = codec.heatmap_size
    maps = torch.rand(batch, keypoints, rows, columns, generator=torch.Generator().manual_seed(seed)) * 255
    together = codec.batch_decode(maps)
    for index in range(batch):
        for whole, alone in zip(together, codec.batch_decode(maps[index:index + 1])):
            np.testing.assert_allclose(whole[index], alone[0], rtol=1e-5, atol=1e-4)


@fast
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 40),
       st.one_of(st.none(), st.integers(1, 50)), st.booleans(), st.integers(0, 9999))
def test_losses_are_finite_fall_to_zero_and_ignore_the_order(stages, units, batch, keypoints, topk, finer, seed):
    generator = torch.Generator().manual_seed(seed)
    loss = MultiStageHeatmapLoss(coarse_to_fine=finer, ohkm_topk=topk, visibility='labeled')
    targets = torch.rand(batch, units + 1, keypoints, 3, 2, generator=generator) * 255
    visible = torch.randint(0, 3, (batch, keypoints), generator=generator).float()
    outputs = torch.rand(stages, units, batch, keypoints, 3, 2, generator=generator) * 255
    total = sum(loss(outputs, targets, visible).values())
    assert torch.isfinite(total) and total >= 0
    order = torch.randperm(keypoints, generator=generator)
    shuffled = sum(loss(outputs[:, :, :, order], targets[:, :, order], visible[:, order]).values())
    torch.testing.assert_close(total, shuffled, rtol=1e-4, atol=1e-2)
    shown = targets * (visible > 0)[:, None, :, None, None]
    perfect = [[shown[:, loss.level(stage, unit, stages)] for unit in range(units)] for stage in range(stages)]
    assert sum(loss(perfect, targets, visible).values()) == 0
    # Without labels the targets of all units are empty, and the last unit has no error.
    unlabeled = loss([[torch.zeros_like(shown[:, 0])] * units] * stages, targets, torch.zeros_like(visible))
    assert sum(unlabeled.values()) == 0


@fast
@given(st.integers(1, 3), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 5)), st.booleans(), st.data())
def test_a_stages_loss_is_the_weighted_sum_of_its_units_losses(stages, units, topk, finer, data):
    def numbers(count):
        return data.draw(st.lists(st.floats(0, 4), min_size=count, max_size=count))

    def losses(**weights):
        loss = MultiStageHeatmapLoss(coarse_to_fine=finer, ohkm_topk=topk, visibility='labeled', **weights)
        return torch.stack(list(loss(outputs, targets, visible).values()))

    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 9999)))
    targets = torch.rand(2, units + 1, 3, 3, 2, generator=generator)
    visible = torch.randint(0, 3, (2, 3), generator=generator)
    outputs = torch.rand(stages, units, 2, 3, 3, 2, generator=generator)
    unit_weights, stage_weights = numbers(units), numbers(stages)
    alone = torch.stack([losses(unit_weights=[float(unit == one) for unit in range(units)]) for one in range(units)])
    expected = torch.tensor(stage_weights) * (torch.tensor(unit_weights)[:, None] * alone).sum(0)
    torch.testing.assert_close(losses(unit_weights=unit_weights, stage_weights=stage_weights), expected)


KEYS = ['backbone.stem.conv1.weight', 'backbone.stages.{s}.encoder.layer{l}.{b}.downsample.1.running_var',
        'backbone.stages.{s}.encoder.layer{l}.{b}.conv2.weight', 'backbone.stages.{s}.units.{u}.up.bn.bias',
        'backbone.stages.{s}.units.{u}.skip_decoder.conv.weight', 'backbone.stages.{s}.to_next.bn.weight',
        'head.predictors.{s}.{u}.1.bn.running_mean']


@fast
@given(st.sampled_from(KEYS), st.integers(0, 30), st.integers(1, 6), st.integers(1, 5), st.integers(0, 40), st.data())
def test_keys_translate_there_and_back_and_never_collide(key, stage, units, layer, block, data):
    unit = data.draw(st.integers(0, units - 1))
    ours = key.format(s=stage, u=unit, l=layer, b=block)
    for source in LAYOUTS:
        for target in LAYOUTS:
            there = translate(translate(ours, 'mmpose_mspn', source, units), source, target, units)
            assert translate(there, target, 'mmpose_mspn', units) == ours


@fast
@given(st.integers(1, 3), st.integers(1, 200))
def test_a_head_of_any_data_set_converts(stages, keypoints):
    parts = {'conv.weight': torch.rand(keypoints, 2, 1, 1), 'bn.running_mean': torch.rand(keypoints)}
    weights = {f'{place}.{name}': value for s in range(stages) for u in range(4) for name, value in parts.items()
               for place in (f'backbone.stages.{s}.units.{u}.lateral', f'head.predictors.{s}.{u}.1')}
    for layout in ('official', 'mmpose'):
        back = convert(convert(weights, layout))
        assert back.keys() == weights.keys()
        assert all(torch.equal(back[key], value) for key, value in weights.items())


@pytest.mark.parametrize('shape', [(1, 1, 8, 8), (2, 3, 4)])
def test_maps_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match='heatmaps must be'):
        CoarseToFineHeatmap((16, 16), (4, 4)).batch_decode(torch.zeros(shape))
