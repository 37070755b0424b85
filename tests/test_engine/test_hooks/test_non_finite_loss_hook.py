"""Non-finite losses in a real Runner: it stops, and the weights never change by them."""
import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine import NonFiniteLossError, NonFiniteLossHook
from mmpose_mspn.utils.errors import ConfigError, UserError
from tests.launching import two_processes
from tests.test_engine.toy import Toy, runner

STOP = dict(type='mmpose_mspn.NonFiniteLossHook')


@pytest.fixture(params=['OptimWrapper', 'AmpOptimWrapper', 'mmpose_mspn.CPUAmpOptimWrapper'])
def wrapper(request, monkeypatch) -> dict:
    if request.param != 'AmpOptimWrapper':
        return dict(type=request.param)
    # It refuses to be built without a GPU; there its scaler is disabled and passes everything through.
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
    return dict(type=request.param, dtype='bfloat16')


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


def test_finite_losses_train_to_the_same_weights_and_states(tmp_path, wrapper):
    trained = []
    for name, hooks in (('without', []), ('with', [STOP])):
        run = runner(tmp_path / name, hooks=hooks, optim=wrapper, param_scheduler=dict(
            type='ExponentialLR', gamma=0.5, by_epoch=False))
        run.train()
        assert 'backward' not in vars(run.optim_wrapper)
        trained.append(read_checkpoint(tmp_path / name / 'iter_6.pth'))
    without, guarded = trained
    assert all(torch.equal(guarded['state_dict'][key], value) for key, value in without['state_dict'].items())
    assert guarded['optimizer'].keys() == without['optimizer'].keys()
    assert guarded['optimizer']['param_groups'] == without['optimizer']['param_groups']


def test_with_accumulation_the_loss_before_the_step_counts_too(tmp_path):
    """The third and fourth batch are one step; the third loss is NaN."""
    run = runner(tmp_path, iterations=4, hooks=[STOP], bad=(4, ), optim=dict(accumulative_counts=2))
    with pytest.raises(NonFiniteLossError, match='iteration 3: '):
        run.train()
    saved = read_checkpoint(tmp_path / 'iter_2.pth')['state_dict']
    assert all(torch.equal(value.cpu(), saved[key]) for key, value in run.model.named_parameters())


def test_a_run_goes_on_after_the_error(tmp_path):
    """The second training of the same process has one guard and reads its own batches."""
    run = runner(tmp_path, hooks=[STOP, STOP], bad=(4, ))
    with pytest.raises(NonFiniteLossError):
        run.train()
    resumed = runner(tmp_path, hooks=[STOP], resume=True)
    resumed.train()
    assert resumed.iter == 6


class Twice(OptimWrapper):
    """A class with an ``update_params`` of its own: two steps with each gradient."""

    def update_params(self, loss, step_kwargs=None, zero_kwargs=None) -> None:
        self.backward(loss)
        self.step()
        self.step()
        self.zero_grad()


@pytest.mark.parametrize('factor', (float('nan'), float('inf')))
def test_an_update_of_its_own_is_guarded(tmp_path, factor):
    run = runner(tmp_path)
    weight = torch.nn.Parameter(torch.tensor([1., 1.]))
    run.optim_wrapper = Twice(torch.optim.SGD([weight], 0.5))
    NonFiniteLossHook().before_train(run)
    run.optim_wrapper.update_params((weight * torch.tensor([1., 2.])).sum())
    assert weight.tolist() == [0., -1.]
    with pytest.raises(NonFiniteLossError):
        run.optim_wrapper.update_params(factor * weight.sum())
    assert weight.tolist() == [0., -1.]


def test_what_it_does_not_have_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'stop' alone, got 'skip': remove action"):
        NonFiniteLossHook('skip')
    with pytest.raises(UserError, match='patience'):
        NonFiniteLossHook(patience=3)
    run = runner(tmp_path)
    run.optim_wrapper = OptimWrapperDict(
        model=run.build_optim_wrapper(dict(optimizer=torch.optim.SGD(Toy().parameters(), 1.))))
    with pytest.raises(ConfigError, match='OptimWrapperDict'):
        NonFiniteLossHook().before_train(run)


EXCHANGE = '''
import os, sys, time
from types import SimpleNamespace
import torch
from torch import distributed, nn
from mmengine.optim import OptimWrapper
from mmpose_mspn.engine import NonFiniteLossError, NonFiniteLossHook, end_launch

distributed.init_process_group('gloo')
rank, mark, factor = distributed.get_rank(), sys.argv[1], float(sys.argv[2])
layer = nn.Linear(2, 1, bias=False)
nn.init.ones_(layer.weight)
wrapper = OptimWrapper(torch.optim.SGD(layer.parameters(), 0.5))
hook = NonFiniteLossHook()
hook.before_train(SimpleNamespace(optim_wrapper=wrapper, iter=0, message_hub=SimpleNamespace(runtime_info={})))
if rank == 0:
    layer.weight.register_hook(lambda gradient: open(mark, 'w').close())
    loss = layer(torch.tensor([[1., 2.]])).sum()
else:  # its loss is known only when the other's backward pass has come to its end
    while not os.path.exists(mark):
        time.sleep(0.01)
    loss = factor * layer(torch.tensor([[1., 2.]])).sum()
try:
    wrapper.update_params(loss)
    print('went on', layer.weight.tolist())
except NonFiniteLossError as error:
    print('another process' in str(error), layer.weight.tolist())
end_launch()
'''


@pytest.mark.parametrize('factor, said', [('1', ['went on [[0.5, 0.0]]'] * 2),
                                          ('nan', ['True [[1.0, 1.0]]', 'False [[1.0, 1.0]]'])])
def test_a_process_runs_its_backward_pass_before_the_others_losses_are_known(tmp_path, factor, said):
    """With a blocking exchange, both processes would wait for each other forever."""
    results = two_processes('-c', EXCHANGE, tmp_path / 'mark', factor)
    assert [done.stdout.strip() for done in results] == said, [done.stderr for done in results]
