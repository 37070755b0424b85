"""Non-finite losses in a real Runner: it stops or skips, and the weights never change by them."""
import logging

import pytest
import torch
from mmengine.optim import OptimWrapperDict

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine import GuardedOptimWrapper, NonFiniteLossError, NonFiniteLossHook
from tests.test_engine.toy import Points, Toy, runner

STOP = dict(type='mmpose_mspn.NonFiniteLossHook')
SKIP = dict(type='mmpose_mspn.NonFiniteLossHook', action='skip')


@pytest.fixture(params=['OptimWrapper', 'AmpOptimWrapper', 'mmpose_mspn.CPUAmpOptimWrapper'])
def wrapper(request, monkeypatch) -> dict:
    if request.param != 'AmpOptimWrapper':
        return dict(type=request.param)
    # It refuses to be built without a GPU; there its scaler is disabled and passes everything through.
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
    return dict(type=request.param, dtype='bfloat16')


def weights(run) -> dict:
    return {key: value.clone() for key, value in run.model.state_dict().items() if value.is_floating_point()}


def same(left: dict, right: dict) -> bool:
    return all(torch.equal(left[key], right[key]) for key in left)


def test_stops_before_the_step(tmp_path, wrapper):
    run = runner(tmp_path, hooks=[STOP], bad=(5, ), optim=wrapper)
    with pytest.raises(NonFiniteLossError) as error:
        run.train()
    message = str(error.value)
    assert 'iteration 3: the loss is nan of the samples (img_id 104, id 4), (img_id 105, id 5)' in message
    assert 'learning rate 0.01' in message and f'last checkpoint: {tmp_path}/iter_2.pth' in message
    saved = read_checkpoint(tmp_path / 'iter_2.pth')['state_dict']
    parameters = dict(run.model.named_parameters())
    assert all(torch.equal(parameters[key].cpu(), saved[key]) for key in parameters)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']


def test_finite_losses_train_to_the_same_weights(tmp_path, wrapper):
    trained = []
    for name, hooks in (('bare', []), ('stop', [STOP]), ('skip', [SKIP])):
        run = runner(tmp_path / name, hooks=hooks, optim=wrapper)
        run.train()
        trained.append(weights(run))
        assert 'step' not in vars(run.optim_wrapper)
        assert not isinstance(run.optim_wrapper, GuardedOptimWrapper)
    assert same(trained[0], trained[1]) and same(trained[0], trained[2])


def test_skips_and_counts(tmp_path, wrapper, caplog):
    """Skipping the third batch trains to the weights of a run whose data lack it."""
    run = runner(tmp_path / 'bad', hooks=[SKIP], bad=(4, ), optim=wrapper)
    run.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        run.train()
    assert 'iteration 3: the loss is nan of the samples (img_id 104, id 4)' in caplog.text
    assert 'Skipped, 1 so far' in caplog.text
    assert run.message_hub.get_scalar('train/skipped_steps').data[0].tolist() == [0, 0, 1, 1, 1, 1]
    without = runner(tmp_path / 'without', iterations=5, optim=wrapper, loader=dict(
        sampler=dict(type='DefaultSampler', shuffle=False)), dataset=_Without(2, 3))
    without.train()
    assert same(weights(run), weights(without))


class _Without(torch.utils.data.Dataset):
    """The points without the batches ``first`` to ``after - 1``, of two points each."""

    def __init__(self, first: int, after: int) -> None:
        points = Points()
        self.samples = [points[index] for index in range(12) if index // 2 not in range(first, after)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        return self.samples[index]


def test_with_accumulation_the_whole_step_is_left_out(tmp_path):
    run = runner(tmp_path, iterations=4, hooks=[SKIP], bad=(4, ), optim=dict(accumulative_counts=2))
    run.train()
    saved = [read_checkpoint(tmp_path / f'iter_{step}.pth')['state_dict']['layers.0.weight'] for step in (1, 2, 3, 4)]
    assert not torch.equal(saved[0], saved[1])
    assert torch.equal(saved[1], saved[2]) and torch.equal(saved[2], saved[3])


def test_skipping_ends_when_the_patience_does(tmp_path):
    run = runner(tmp_path, hooks=[dict(SKIP, patience=2)], bad=tuple(range(4, 12)))
    with pytest.raises(NonFiniteLossError, match='iteration 4: .*, 2 times in a row'):
        run.train()
    assert all(torch.isfinite(value).all() for value in weights(run).values())


def test_the_count_survives_resume(tmp_path):
    runner(tmp_path, iterations=3, hooks=[SKIP], bad=(0, )).train()
    run = runner(tmp_path, iterations=5, hooks=[SKIP], resume=True)
    run.train()
    assert run.message_hub.get_scalar('train/skipped_steps').current() == 1


def test_arguments():
    with pytest.raises(ValueError, match="action must be 'stop' or 'skip', got 'go'"):
        NonFiniteLossHook('go')
    with pytest.raises(ValueError, match='patience must be >= 1, got 0'):
        NonFiniteLossHook('skip', 0)


def test_several_optimizers_are_refused(tmp_path):
    run = runner(tmp_path)
    one = run.build_optim_wrapper(dict(optimizer=torch.optim.SGD(Toy().parameters(), 1.)))
    run.optim_wrapper = OptimWrapperDict(one=one)
    with pytest.raises(ValueError, match='one optim_wrapper, got OptimWrapperDict'):
        NonFiniteLossHook().before_train(run)
