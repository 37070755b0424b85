"""Checkpoints that do not fit a run are refused before they change anything in it."""
import re
from pathlib import Path
from typing import Callable

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint, use_safe_loading
from tests.planted import plant
from tests.test_engine.toy import Points, Toy, runner

FIT = dict(type='mmpose_mspn.CheckpointFitHook')
ATOMIC = dict(type='mmpose_mspn.AtomicCheckpointHook')


@pytest.fixture(autouse=True)
def safe_loading(monkeypatch) -> None:
    """As in the tools."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    use_safe_loading()


def run(work_dir: Path, iterations: int = 2, **changes) -> Runner:
    return runner(work_dir, iterations, hooks=[FIT, *changes.pop('hooks', ())], checkpoint=ATOMIC, **changes)


@pytest.fixture
def trained(tmp_path) -> Path:
    run(tmp_path / 'trained').train()
    return tmp_path / 'trained' / 'iter_2.pth'


class Wider(Toy):
    """Another number of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[2] = nn.Linear(4, 5)


class Deeper(Toy):

    def __init__(self) -> None:
        super().__init__()
        self.layers.append(nn.Linear(1, 1))


class Shallower(Toy):

    def __init__(self) -> None:
        super().__init__()
        self.layers = self.layers[:2]


class Other(Toy):
    """Nothing of its weights is in a checkpoint of Toy."""

    def __init__(self) -> None:
        super().__init__()
        self.others = self.layers
        del self.layers

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.layers = self.others
        return super().forward(inputs, data_samples, mode)


def changed(path: Path, change: Callable[[dict], object]) -> str:
    content = read_checkpoint(path)
    change(content)
    torch.save(content, path.with_name('changed.pth'))
    return str(path.with_name('changed.pth'))


def spoil(content: dict) -> None:
    content['state_dict']['layers.0.bias'][1] = float('nan')


def refused(run: Runner, match: str) -> None:
    """The training is refused in one line, and neither weights nor optimizer nor iteration have changed."""
    reference = {key: value.clone() for key, value in run.model.state_dict().items()}
    with pytest.raises(CheckpointError, match=match) as error:
        run.train()
    assert '\n' not in str(error.value)
    assert all(torch.equal(value, reference[key]) for key, value in run.model.state_dict().items())
    assert run.iter == 0 and not run.optim_wrapper.optimizer.state


@pytest.mark.parametrize('model, match', [
    (Wider, r'of another model and cannot be resumed: 2 weights .*layers.2.weight \(1, 4\) for \(5, 4\)'),
    (Deeper, 'of another model .*layers.3.weight'),
    (Shallower, 'of another model .*layers.2.weight'),
    (Other, 'of another model .*others.0.weight'),
])
def test_resuming_onto_another_model(tmp_path, trained, model, match):
    refused(run(tmp_path / 'second', load_from=str(trained), resume=True, model=model()), match)


@pytest.mark.parametrize('fused', [False, True])
def test_resuming_onto_another_optimizer(tmp_path, trained, fused):
    cases = [(dict(type='SGD', lr=0.1, fused=fused), 'with this optimizer, SGD: .*betas'),
             (dict(type='NAdam', lr=0.1), 'NAdam: .*momentum_decay')]
    if 'decoupled_weight_decay' in torch.optim.AdamW([torch.zeros(1)]).defaults:
        cases.append((dict(type='AdamW', lr=0.1, fused=fused), 'AdamW: .*decoupled_weight_decay'))
    else:  # an older torch, where the states of Adam and AdamW are the same
        assert torch.optim.AdamW([torch.zeros(1)]).defaults.keys() == torch.optim.Adam([torch.zeros(1)]).defaults.keys()
    for optimizer, match in cases:
        refused(run(tmp_path / 'second', load_from=str(trained), resume=True,
                    optim_wrapper=dict(optimizer=optimizer)), match)


def test_resuming_with_other_parameter_groups(tmp_path, trained):
    refused(run(tmp_path / 'second', load_from=str(trained), resume=True,
                optim=dict(paramwise_cfg=dict(bias_lr_mult=2.))), r'groups of 6 parameters, the run has groups of 1')


@pytest.mark.parametrize('change, match', [
    (spoil, r'weights that are NaN or infinite \(1: layers.0.bias\)'),
    (lambda content: content.pop('optimizer'), r'lacks optimizer \(best and published'),
    (lambda content: content.pop('message_hub'), 'lacks message_hub'),
    (lambda content: content['meta'].pop('iter'), 'lacks meta.iter'),
    (lambda content: content['optimizer']['state'][0].update(exp_avg=torch.zeros(7)),
     r'exp_avg of parameter 0 has the shape \(7,\)'),
])
def test_resuming_from_what_cannot_be_resumed(tmp_path, trained, change, match):
    refused(run(tmp_path / 'second', load_from=changed(trained, change), resume=True), match)


@pytest.mark.parametrize('change, match', [
    (lambda content: content['meta'].update(iter='two'), "its meta.iter must be an integer >= 0, got 'two'"),
    (lambda content: content['meta'].update(iter=-1), 'its meta.iter must be an integer >= 0, got -1'),
    (lambda content: content['meta'].update(epoch=None), 'its meta.epoch must be an integer >= 0, got None'),
    (lambda content: content['optimizer']['state'][0]['exp_avg'].fill_(float('nan')),
     'exp_avg of parameter 0 in its optimizer state is NaN or infinite: take an earlier one'),
])
def test_resuming_from_a_spoiled_state(tmp_path, trained, change, match):
    refused(run(tmp_path / 'run', 4, load_from=changed(trained, change), resume=True), match)


def test_a_training_that_is_complete_says_so(tmp_path, trained, caplog):
    again = run(tmp_path / 'run', 2, load_from=str(trained), resume=True)
    again.logger.addHandler(caplog.handler)
    again.train()
    assert 'has done 2 of 2 iterations: nothing is left to train' in caplog.text
    caplog.clear()
    longer = run(tmp_path / 'longer', 3, load_from=str(trained), resume=True)
    longer.logger.addHandler(caplog.handler)
    longer.train()
    assert 'nothing is left' not in caplog.text


def test_resuming_with_another_number_of_schedulers(tmp_path, trained):
    schedule = [dict(type='LinearLR', by_epoch=False, end=3)]
    refused(run(tmp_path / 'second', load_from=str(trained), resume=True, param_scheduler=schedule),
            'lacks param_schedulers')
    run(tmp_path / 'scheduled', param_scheduler=schedule).train()
    refused(run(tmp_path / 'third', load_from=str(tmp_path / 'scheduled/iter_2.pth'), resume=True,
                param_scheduler=schedule * 2), 'it has 1 parameter schedulers, the run has 2')


def test_no_text_of_a_checkpoint_is_run(tmp_path, trained):
    """mmengine runs the config in a checkpoint as Python."""
    ran = tmp_path / 'ran'
    path = changed(trained, lambda content: content['meta'].update(config=f"import os\nos.mkdir({str(ran)!r})"))
    resumed = run(tmp_path / 'second', 3, load_from=path, resume=True)
    resumed.train()
    assert resumed.iter == 3 and not ran.exists()


def test_a_training_says_what_it_carries_over(tmp_path, trained, capsys):
    second = run(tmp_path / 'second', load_from=str(trained), model=Wider(), log_level='INFO')
    second.train()
    log = next((tmp_path / 'second').rglob('*.log')).read_text()
    line = next(line for line in log.splitlines() if 'carried over' in line)
    assert '6 of 8 weights are carried over; 2 of another shape: layers.2.weight (1, 4) for (5, 4), layers.2' in line
    refused(run(tmp_path / 'third', load_from=str(trained), model=Other()),
            'holds nothing of the model.*layers.0.weight')
    refused(run(tmp_path / 'third', load_from=changed(trained, spoil)), 'NaN or infinite')
    for content in ({}, [1, 2], dict(state_dict={}), {3: torch.zeros(1)}, dict(state_dict=dict(a='text'))):
        torch.save(content, tmp_path / 'odd.pth')
        refused(run(tmp_path / 'third', load_from=str(tmp_path / 'odd.pth')), 'odd.pth')


def test_a_test_refuses_what_does_not_fill_the_model(tmp_path, trained):
    def tested(name: str, path: object, model: nn.Module) -> Runner:
        made = runner(
            tmp_path / name, hooks=[FIT], model=model, load_from=str(path), train_dataloader=None, train_cfg=None,
            optim_wrapper=None, test_cfg=dict(), test_evaluator=dict(type='DumpResults', out_file_path='x.pkl'),
            test_dataloader=dict(dataset=Points(), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)))
        made._test_loop = made.build_test_loop(made._test_loop)
        made.load_or_resume()
        return made

    for model, match in ((Wider, 'does not fill the model: 2 weights'), (Deeper, 'layers.3.weight'), (Other, 'others')):
        with pytest.raises(CheckpointError, match=match):
            tested(model.__name__, trained, model())
    with pytest.raises(CheckpointError, match='NaN or infinite'):
        tested('nan', changed(trained, spoil), Toy())
    loaded = tested('good', trained, Toy())
    assert torch.equal(loaded.model.layers[0].weight.cpu(), read_checkpoint(trained)['state_dict']['layers.0.weight'])
    assert tested('parts', trained, Shallower()).model is not None  # a checkpoint may have more


@pytest.mark.parametrize('resume', [False, True])
def test_broken_files(tmp_path, trained, resume):
    content = trained.read_bytes()
    (tmp_path / 'cut.pth').write_bytes(content[:len(content) // 2])
    folder = plant(tmp_path / 'planted.pth', {})
    for name, match in (('cut', 'is not a checkpoint, or is incomplete'), ('planted', r'holds more than weights \(')):
        refused(run(tmp_path / 'second', load_from=str(tmp_path / f'{name}.pth'), resume=resume),
                f'{re.escape(str(tmp_path))}/{name}.pth {match}')
    assert not folder.exists()


def test_the_scaler_of_another_run(tmp_path, trained):
    """A state of a disabled scaler is empty, and an enabled scaler refuses to load it."""
    path = changed(trained, lambda content: content['optimizer'].update(loss_scaler={}))
    resumed = run(tmp_path / 'second', 3, load_from=path, resume=True)
    resumed.train()
    assert isinstance(resumed.optim_wrapper, OptimWrapper) and resumed.iter == 3
