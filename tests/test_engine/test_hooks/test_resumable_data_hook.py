"""Resuming a real Runner: the same data and bit-identical weights."""
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler

from mmpose_mspn.engine.hooks.resumable_data_hook import EpochBatches, SeededDataset
from mmpose_mspn.utils.errors import ConfigError
from tests.test_engine.toy import Points, runner

HOOK = dict(type='mmpose_mspn.ResumableDataHook')


class Augmented(Points):
    """Points moved by the random number generators that transforms use; loaded indices are recorded."""

    metainfo = dict(dataset_name='points')

    def __init__(self) -> None:
        super().__init__(size=8)
        self.loads = []

    def __getitem__(self, index: int) -> dict:
        self.loads.append(index)
        item = super().__getitem__(index)
        item['inputs'] = item['inputs'] + float(np.random.randn()) + random.random()
        return item


def train(work_dir, iterations, workers=0, sampler='DefaultSampler', **changes):
    """A run of 4 batches an epoch, and the indices that it loaded."""
    loader = dict(num_workers=workers, sampler=dict(type=sampler, shuffle=True),
                  persistent_workers=workers > 0)
    run = runner(work_dir, iterations, hooks=[HOOK], dataset=Augmented(), loader=loader, **changes)
    run.train()
    return run, run.train_dataloader.dataset.loads


def same(left, right) -> bool:
    left, right = (run.model.state_dict() for run in (left, right))
    return all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture(params=('DefaultSampler', 'InfiniteSampler'))
def sampler(request) -> str:
    return request.param


@pytest.mark.parametrize('stopped', (1, 4, 6))
def test_a_resumed_run_trains_to_bit_identical_weights(tmp_path, stopped, sampler):
    whole, loads = train(tmp_path / 'whole', 10, sampler=sampler)
    train(tmp_path / 'parts', stopped, sampler=sampler)
    resumed, rest = train(tmp_path / 'parts', 10, sampler=sampler, resume=True)
    assert resumed.iter == 10 and same(whole, resumed)
    assert rest == loads[-len(rest):] and len(rest) < len(loads)  # nothing is loaded to be dropped


def test_the_number_of_workers_does_not_matter(tmp_path, sampler):
    whole, _ = train(tmp_path / 'whole', 6, sampler=sampler)
    train(tmp_path / 'parts', 3, workers=1, sampler=sampler)
    resumed, _ = train(tmp_path / 'parts', 6, workers=2, sampler=sampler, resume=True)
    assert same(whole, resumed)


def test_by_epoch(tmp_path):
    def run(work_dir, count, **changes):
        made = runner(
            work_dir, hooks=[HOOK], dataset=Augmented(), checkpoint=dict(by_epoch=True),
            loader=dict(sampler=dict(type='DefaultSampler', shuffle=True)),
            train_cfg=dict(by_epoch=True, max_epochs=count), **changes)
        made.train()
        return made

    whole = run(tmp_path / 'whole', 3)
    run(tmp_path / 'parts', 1)
    assert same(whole, run(tmp_path / 'parts', 3, resume=True))


def test_epochs_differ_and_repeat(tmp_path, sampler):
    """Each epoch has its own order and its own augmentation; another seed has others."""
    seeded = SeededDataset(Augmented(), seed=3)
    draws = [seeded[draw]['inputs'] for draw in ((0, 2), (1, 2), (0, 2), (0, 3))]
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])
    assert not torch.equal(SeededDataset(Augmented(), seed=4)[0, 2]['inputs'], draws[0])
    _, loads = train(tmp_path, 8, sampler=sampler)
    assert sorted(loads[:8]) == sorted(loads[8:]) == list(range(8)) and loads[:8] != loads[8:]


def test_the_epochs_of_an_infinite_sampler_are_its_passes():
    """Two processes share three samples: each sample is drawn once an epoch, by either."""
    drawn = []
    for rank in (0, 1):
        sampler = InfiniteSampler([0] * 3, seed=1)
        sampler.rank, sampler.world_size = rank, 2
        batches = EpochBatches(torch.utils.data.BatchSampler(sampler, 3, drop_last=False))
        drawn += [batches._epoch(place) for place in range(6)]
    assert sorted(drawn) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_the_dataset_keeps_its_attributes(tmp_path):
    run, _ = train(tmp_path, 1)
    assert run.train_dataloader.dataset.metainfo == dict(dataset_name='points')
    assert len(run.train_dataloader.dataset) == 8 and len(run.train_dataloader) == 4


def test_a_sampler_without_epochs_is_refused(tmp_path):
    loader = torch.utils.data.DataLoader(Points(), batch_size=2)
    run = runner(tmp_path, hooks=[HOOK], train_dataloader=loader)
    with pytest.raises(ConfigError, match='SequentialSampler'):
        run.train()
