"""The guard stands for any optimizer wrapper, and keeps non-finite losses from its steps."""
import copy
import pickle

import mmengine
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.utils import digit_version
from torch import nn

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine import CPUAmpOptimWrapper, GuardedOptimWrapper
from tests.launching import two_processes
from tests.test_engine.toy import Toy, runner

STOP = dict(type='mmpose_mspn.NonFiniteLossHook')
SKIP = dict(type='mmpose_mspn.NonFiniteLossHook', action='skip')
X = torch.tensor([[1., 2.]])


def ignore(loss: torch.Tensor, in_a_row: int) -> None:
    """Let the step be left out."""


def guarded(kind: type = OptimWrapper, **options) -> GuardedOptimWrapper:
    """Around gradient descent on a weight [1, 1] with a learning rate of 0.5."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    wrapped = kind(torch.optim.SGD(layer.parameters(), 0.5), **options)
    return GuardedOptimWrapper(wrapped, ignore)


def weight(wrapper: OptimWrapper) -> torch.Tensor:
    return wrapper.param_groups[0]['params'][0]


def loss_of(wrapper: OptimWrapper, factor: float = 1.) -> torch.Tensor:
    """Its gradient is the factor times [1, 2]."""
    return factor * (X * weight(wrapper)).sum()


def test_a_finite_loss_takes_its_step():
    wrapper = guarded()
    wrapper.update_params(loss_of(wrapper))
    assert weight(wrapper).tolist() == [[0.5, 0.]]


@pytest.mark.parametrize('factor', (float('nan'), float('inf')))
def test_a_non_finite_loss_takes_none_and_the_next_is_clean(factor):
    wrapper = guarded()
    wrapper.update_params(loss_of(wrapper, factor))
    assert weight(wrapper).tolist() == [[1., 1.]]
    wrapper.update_params(loss_of(wrapper))
    assert weight(wrapper).tolist() == [[0.5, 0.]]


def test_losses_in_a_row_are_counted():
    wrapper = guarded()
    counts = []
    wrapper.on_non_finite = lambda loss, in_a_row: counts.append(in_a_row)
    for factor in (float('nan'), float('inf'), 1., float('nan')):
        wrapper.update_params(loss_of(wrapper, factor))
    assert counts == [1, 2, 1]


@pytest.mark.parametrize('bad', (0, 1))
def test_with_accumulation_the_whole_step_is_left_out(bad):
    """Two losses a step; either spoils it."""
    wrapper = guarded(accumulative_counts=2)
    for number in range(2):
        wrapper.update_params(loss_of(wrapper, float('nan') if number == bad else 1.))
    assert weight(wrapper).tolist() == [[1., 1.]] and wrapper.inner_count == 2
    for _ in range(2):
        wrapper.update_params(loss_of(wrapper))
    assert weight(wrapper).tolist() == [[0.5, 0.]]


def test_a_model_that_calls_backward_and_step_itself_is_guarded():
    wrapper = guarded()
    for factor, expected in ((float('nan'), [[1., 1.]]), (1., [[0.5, 0.]])):
        wrapper.backward(loss_of(wrapper, factor))
        wrapper.step()
        wrapper.zero_grad()
        assert weight(wrapper).tolist() == expected


class Twice(OptimWrapper):
    """A class with an ``update_params`` of its own: two steps with each gradient."""

    def update_params(self, loss, step_kwargs=None, zero_kwargs=None) -> None:
        self.backward(loss)
        self.step()
        self.step()
        self.zero_grad()


def test_an_update_of_its_own_is_kept_and_guarded():
    wrapper = guarded(Twice)
    for factor, expected in ((1., [[0., -1.]]), (float('nan'), [[0., -1.]]), (1., [[-1., -3.]])):
        wrapper.update_params(loss_of(wrapper, factor))
        assert weight(wrapper).tolist() == expected


def test_every_method_of_mmengines_wrapper_is_passed_on():
    """A method that the guard inherited would act on the guard instead of the wrapped object."""
    public = {name for name in dir(OptimWrapper) if not name.startswith('_')}
    assert public <= set(vars(GuardedOptimWrapper))


def test_state_and_rates_are_those_of_the_wrapped_object():
    wrapper, plain = guarded(CPUAmpOptimWrapper), guarded().wrapped
    wrapper.update_params(loss_of(wrapper))
    assert wrapper.state_dict() == wrapper.wrapped.state_dict()
    assert wrapper.state_dict().keys() == plain.state_dict().keys()
    wrapper.param_groups[0]['lr'] = 0.25
    assert wrapper.get_lr() == wrapper.wrapped.get_lr() == dict(lr=[0.25])
    state = wrapper.state_dict()
    wrapper.load_state_dict(plain.state_dict())
    assert wrapper.wrapped.get_lr() == dict(lr=[0.5]) and state['param_groups'][0]['lr'] == 0.25
    assert wrapper.optimizer is wrapper.wrapped.optimizer  # an attribute that the guard does not name


@pytest.mark.parametrize('copied', (copy.deepcopy, lambda wrapper: pickle.loads(pickle.dumps(wrapper))))
def test_it_shows_copies_and_pickles(copied):
    wrapper = guarded(accumulative_counts=2)
    assert repr(wrapper).startswith('GuardedOptimWrapper(Type: OptimWrapper') and 'SGD' in repr(wrapper)
    wrapper.update_params(loss_of(wrapper, float('nan')))  # in the middle of a step that is left out
    twin = copied(wrapper)
    for one in (wrapper, twin):
        one.update_params(loss_of(one))
        assert weight(one).tolist() == [[1., 1.]]
    for _ in range(2):
        twin.update_params(loss_of(twin))
    assert weight(twin).tolist() == [[0.5, 0.]] and weight(wrapper).tolist() == [[1., 1.]]


class Watch(Hook):
    """Notes the class of the run's wrapper and its learning rate, and pickles it where no scheduler forbids that."""

    def __init__(self, pickles: bool) -> None:
        self.pickles, self.seen = pickles, []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        wrapper = runner.optim_wrapper
        self.seen.append((type(wrapper).__name__, wrapper.get_lr()['lr'][0]))
        if self.pickles:
            assert pickle.loads(pickle.dumps(wrapper)).get_lr() == wrapper.get_lr()


@pytest.mark.parametrize('hook', (STOP, SKIP))
def test_in_a_run_it_stands_for_the_wrapper_until_the_end(tmp_path, hook):
    watch = Watch(pickles=True)
    run = runner(tmp_path, iterations=2, hooks=[hook, watch])
    run.train()
    assert watch.seen == [('GuardedOptimWrapper', 0.01)] * 2 and type(run.optim_wrapper) is OptimWrapper


def test_schedulers_set_the_rates_that_they_set_without_the_guard(tmp_path):
    """mmengine attaches them to the wrapped object, also in a resumed run."""
    rates = []
    for name, hooks in (('bare', []), ('guarded', [STOP])):
        watch = Watch(pickles=False)
        for iterations, resume in ((3, False), (6, True)):
            runner(tmp_path / name, iterations, hooks=[*hooks, watch], resume=resume,
                   param_scheduler=dict(type='ExponentialLR', gamma=0.5, by_epoch=False)).train()
        rates.append([rate for _, rate in watch.seen])
    assert rates[0] == rates[1] and len(rates[0]) == 6 and rates[0][:3] == [0.01, 0.005, 0.0025]


def test_a_checkpoint_holds_what_it_holds_without_the_guard(tmp_path):
    saved = []
    for name, hooks in (('bare', []), ('guarded', [STOP])):
        # A rate of their own for biases makes several groups, for which mmengine saves base settings too.
        runner(tmp_path / name, 2, hooks=hooks, optim=dict(paramwise_cfg=dict(bias_lr_mult=2.))).train()
        saved.append(read_checkpoint(tmp_path / name / 'iter_2.pth')['optimizer'])
    bare, with_guard = saved
    saved_by_mmengine = {'state', 'param_groups'}
    if digit_version(mmengine.__version__) >= digit_version('0.8.0'):
        saved_by_mmengine.add('base_param_settings')
    assert bare.keys() == with_guard.keys() == saved_by_mmengine
    assert bare['param_groups'] == with_guard['param_groups']
    assert all(torch.equal(bare['state'][0][key], with_guard['state'][0][key]) for key in bare['state'][0])


def test_one_guard_is_enough(tmp_path):
    """The second hook's settings count, and a training after an error starts with one guard too."""
    run = runner(tmp_path, hooks=[STOP, SKIP], bad=(4, ))
    run.train()
    assert run.message_hub.get_scalar('train/skipped_steps').current() == 1 and type(run.optim_wrapper) is OptimWrapper
    run = runner(tmp_path / 'error', hooks=[STOP])
    run.optim_wrapper = GuardedOptimWrapper(
        OptimWrapper(torch.optim.SGD(Toy().parameters(), 0.1)), ignore)
    run.call_hook('before_train')
    assert type(run.optim_wrapper) is GuardedOptimWrapper and type(run.optim_wrapper.wrapped) is OptimWrapper


EXCHANGE = '''
import os, sys, time
import torch
from torch import distributed, nn
from mmengine.optim import OptimWrapper
from mmpose_mspn.engine import GuardedOptimWrapper, end_launch

distributed.init_process_group('gloo')
rank, mark, factor = distributed.get_rank(), sys.argv[1], float(sys.argv[2])
layer = nn.Linear(2, 1, bias=False)
nn.init.ones_(layer.weight)
calls = []
wrapper = GuardedOptimWrapper(OptimWrapper(torch.optim.SGD(layer.parameters(), 0.5)), lambda *args: calls.append(args))
if rank == 0:
    layer.weight.register_hook(lambda gradient: open(mark, 'w').close())
    loss = layer(torch.tensor([[1., 2.]])).sum()
else:  # its loss is known only when the other's backward pass has come to its end
    while not os.path.exists(mark):
        time.sleep(0.01)
    loss = factor * layer(torch.tensor([[1., 2.]])).sum()
wrapper.update_params(loss)
print(layer.weight.tolist(), len(calls))
end_launch()
'''


@pytest.mark.parametrize('factor, weights', [('1', '[[0.5, 0.0]] 0'), ('nan', '[[1.0, 1.0]] 1')])
def test_a_process_runs_its_backward_pass_before_the_others_losses_are_known(tmp_path, factor, weights):
    """With a blocking exchange, both processes would wait for each other forever."""
    for done in two_processes('-c', EXCHANGE, tmp_path / 'mark', factor):
        assert done.stdout.strip() == weights, done.stderr
