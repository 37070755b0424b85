"""A resumed run has the learning rates of an uninterrupted one, and says so if its schedule is another one."""
import logging
from typing import List, Optional

import pytest
from mmengine.hooks import Hook

from tests.test_engine.toy import runner

SCHEDULES = dict(
    linear=dict(type='LinearLR', by_epoch=False, start_factor=0.1),
    poly=dict(type='PolyLR', by_epoch=False, power=1),
    steps=dict(type='MultiStepLR', by_epoch=False, milestones=[2, 4]),
    cosine=dict(type='CosineAnnealingLR', by_epoch=False))


class Stopped(Exception):
    pass


class Rates(Hook):
    """Notes the learning rate of each iteration, and stops the run after one of them."""

    priority = 'LOWEST'

    def __init__(self, stop: Optional[int]) -> None:
        self.stop, self.rates = stop, []

    def before_train_iter(self, run, batch_idx, data_batch=None) -> None:
        self.rates.append(run.optim_wrapper.get_lr()['lr'][0])

    def after_train_iter(self, run, batch_idx, data_batch=None, outputs=None) -> None:
        if run.iter + 1 == self.stop:
            raise Stopped


def rates(work_dir, iterations: int, schedule: dict, stop: Optional[int] = None, **options) -> List[float]:
    run = runner(work_dir, iterations, hooks=[dict(type='mmpose_mspn.CheckpointFitHook')], param_scheduler=schedule,
                 checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook'), **options)
    hook = Rates(stop)
    run.register_hook(hook)
    try:
        run.train()
    except Stopped:
        assert stop
    return hook.rates


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_a_stopped_run_resumes_with_the_rates_of_an_uninterrupted_one(tmp_path, caplog, schedule):
    whole = rates(tmp_path / 'whole', 6, SCHEDULES[schedule])
    first = rates(tmp_path / 'parts', 6, SCHEDULES[schedule], stop=3)
    with caplog.at_level(logging.WARNING):
        rest = rates(tmp_path / 'parts', 6, SCHEDULES[schedule], resume=True)
    assert first + rest == pytest.approx(whole) and len(set(whole)) > 2
    assert 'continues with' not in caplog.text


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_a_longer_run_is_told_that_the_schedule_is_that_of_the_checkpoint(tmp_path, capfd, schedule):
    rates(tmp_path, 3, SCHEDULES[schedule])
    longer = rates(tmp_path, 6, SCHEDULES[schedule], resume=True)
    assert len(set(longer)) == 1  # the schedule ended with the first run
    said = capfd.readouterr()
    assert 'end=3 (the config: 6)' in said.out + said.err


def test_a_given_end_holds_for_both(tmp_path, capfd):
    schedule = dict(SCHEDULES['linear'], end=5)
    whole = rates(tmp_path / 'whole', 6, schedule)
    parts = rates(tmp_path / 'parts', 3, schedule) + rates(tmp_path / 'parts', 6, schedule, resume=True)
    assert parts == pytest.approx(whole)
    said = capfd.readouterr()
    assert 'continues with' not in said.out + said.err
