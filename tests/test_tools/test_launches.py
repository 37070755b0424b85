"""The command lines as real processes: training, resuming and testing, in one process and in two."""
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.synthetic_people import generate
from tests.launching import environment, python, two_processes
from tests.places import DEMO, ROOT

TINY = ['train_dataloader.batch_size=2', 'train_dataloader.num_workers=0', 'test_dataloader.num_workers=0',
        'val_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'val_dataloader.persistent_workers=False', 'test_dataloader.persistent_workers=False']


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('people')
    generate(root, train=4, val=5, workers=1, progress=False)
    return root


def launch(*command: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run a script of a launcher."""
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment())
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def run(*command: object) -> subprocess.CompletedProcess:
    """Run a tool in one process."""
    done = python(*command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def run_two(*command: object, fails: bool = False) -> str:
    """Run a tool in two processes, which both succeed or both fail; returns what they print."""
    both = two_processes(*command, '--launcher', 'pytorch')
    said = '\n'.join(done.stdout + done.stderr for done in both)
    assert [done.returncode != 0 for done in both] == [fails, fails], said[-6000:]
    return said


def train_arguments(people: Path, work_dir: Path, iterations: int) -> list:
    return ['--data-root', people, '--work-dir', work_dir, '--cfg-options', *TINY,
            f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={iterations}',
            'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1']


@pytest.fixture(scope='module')
def checkpoint(people, tmp_path_factory) -> Path:
    """Checkpoint of tools/train.py after one step and, resumed, another."""
    work_dir = tmp_path_factory.mktemp('work')
    run('tools/train.py', DEMO, '--no-validate', *train_arguments(people, work_dir, 1))
    resumed = run('tools/train.py', DEMO, '--resume', *train_arguments(people, work_dir, 2))
    log = resumed.stdout + resumed.stderr
    assert 'Iter(train) [2/2]' in log and 'Iter(train) [1/2]' not in log
    assert 'coco/AP' in log and 'loss_stage1' in log
    return work_dir / 'iter_2.pth'


def test_train_resume_and_test(people, checkpoint, tmp_path):
    run('tools/test.py', DEMO, checkpoint, '--data-root', people, '--work-dir', tmp_path,
        '--out', tmp_path / 'metrics.json', '--dump', tmp_path / 'predictions.pkl', '--show-dir', 'drawn',
        '--cfg-options', *TINY)
    assert 'coco/AP' in json.loads((tmp_path / 'metrics.json').read_text())
    assert (tmp_path / 'predictions.pkl').stat().st_size > 0
    assert len(list(tmp_path.rglob('drawn/*'))) > 0


def test_two_processes_measure_the_same_as_one(people, checkpoint, tmp_path):
    """With an odd number of people, no sample is counted twice or lost."""
    arguments = ['--data-root', people, '--cfg-options', *TINY]
    run('tools/test.py', DEMO, checkpoint, '--work-dir', tmp_path / 'one',
        '--out', tmp_path / 'one.json', *arguments)
    launch('tools/dist_test.sh', DEMO, checkpoint, 2, '--work-dir', tmp_path / 'two',
        '--out', tmp_path / 'two.json', *arguments)
    assert json.loads((tmp_path / 'one.json').read_text()) == json.loads((tmp_path / 'two.json').read_text())


@pytest.mark.parametrize('start', [run, run_two])
def test_fast_measures_the_same(people, checkpoint, tmp_path, start):
    arguments = ['--data-root', people, '--work-dir', tmp_path, '--cfg-options', *TINY]
    metrics = []
    for name, fast in (('plain.json', []), ('fast.json', ['--fast'])):
        start('tools/test.py', DEMO, checkpoint, *fast, '--out', tmp_path / name, *arguments)
        metrics.append(json.loads((tmp_path / name).read_text()))
    assert metrics[1] == pytest.approx(metrics[0], abs=1e-3)


def config_with(folder: Path, *hooks: str, more: str = '') -> Path:
    """Write the demo's config with hooks of tests/launched_hooks.py."""
    path = folder / 'hooked.py'
    path.write_text(
        f"_base_ = {str(DEMO)!r}\n"
        "custom_imports = dict(imports=['tests.launched_hooks'])\n"
        f"custom_hooks = [*_base_.custom_hooks, {', '.join(hooks)}]\n{more}")
    return path


def test_two_processes_train_and_release_everything(people, tmp_path):
    """A process group or model that still exists when the interpreter exits aborts one launch in four."""
    config = config_with(tmp_path, "dict(type='ReportWhatIsLeft')")
    images = tmp_path / 'images'
    images.mkdir()
    log = launch('tools/dist_train.sh', config, 2, '--amp', '--fast', '--cache-images', images,
                 *train_arguments(people, tmp_path, 1))
    assert 'Iter(train) [1/1]' in log.stdout + log.stderr
    assert list(images.glob('*.npy')) and not list(images.glob('*.part'))
    assert log.stdout.count('left: group False, model False') == 2
    assert (tmp_path / 'iter_1.pth').exists()


def weights(work_dir: Path, iteration: int) -> dict:
    state = read_checkpoint(work_dir / f'iter_{iteration}.pth')['state_dict']
    return {key: value.double() for key, value in state.items() if value.is_floating_point()}


def test_two_processes_train_like_one_with_twice_the_batch(people, tmp_path):
    """Two steps of SGD on shuffled and flipped data, with norms in eval mode whose statistics come from a training."""
    def arguments(name: str, batch: int, iterations: int) -> list:
        given = train_arguments(people, tmp_path / name, iterations)
        return ['--no-validate', *given, f'train_dataloader.batch_size={batch}']

    run('tools/train.py', DEMO, *arguments('before', 4, 20), 'default_hooks.checkpoint.interval=20')
    config = config_with(
        tmp_path, "dict(type='FrozenNorms')",
        more=f"load_from = '{tmp_path}/before/iter_20.pth'\nparam_scheduler = []\n"
        "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1e-2), clip_grad=dict(max_norm=1))\n")
    run_two('tools/train.py', config, *arguments('two', 2, 2))
    run('tools/train.py', config, *arguments('one', 4, 2))
    one, two = weights(tmp_path / 'one', 2), weights(tmp_path / 'two', 2)
    start = weights(tmp_path / 'before', 20)
    moved = np.sqrt(sum((one[key] - start[key]).pow(2).sum() for key in one))
    apart = np.sqrt(sum((one[key] - two[key]).pow(2).sum() for key in one))
    assert moved > 0.01 and apart < 1e-4 * moved


def test_the_same_seed_gives_the_same_weights(people, tmp_path):
    for name in ('first', 'second'):
        run('tools/train.py', DEMO, '--no-validate', *train_arguments(people, tmp_path / name, 2),
            'randomness.deterministic=True')
    first, second = weights(tmp_path / 'first', 2), weights(tmp_path / 'second', 2)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize('what, shown', [('raise', 'an injected error'), ('kill', 'Signal 9 (SIGKILL)')])
def test_one_process_that_dies_ends_the_launch_with_its_error(people, tmp_path, what, shown):
    """The other process waits for it in a collective call and must not wait forever."""
    config = config_with(tmp_path, f"dict(type='Fault', what='{what}', iteration=3, rank=1)")
    failed = launch('tools/dist_train.sh', config, 2, *train_arguments(people, tmp_path, 3), check=False)
    assert failed.returncode != 0 and shown in failed.stdout + failed.stderr
    assert (tmp_path / 'iter_1.pth').exists() and not (tmp_path / 'iter_3.pth').exists()


@pytest.mark.parametrize('script, given, code, said', [
    ('dist_train', ['nowhere.py', 2], 1, [
        '[rank 0] error: config nowhere.py does not exist', '[rank 1] error: config nowhere.py does not exist',
        'ended with exit code 1']),
    ('dist_test', ['nowhere.py', 'nowhere.pth', 0], 2, ['the number of processes must be a whole number >= 1, got 0'])
])
def test_a_launch_that_fails_has_no_traceback_of_its_own(script, given, code, said):
    failed = launch(f'tools/{script}.sh', *given, check=False)
    lines = failed.stderr.splitlines()
    assert failed.returncode == code and 'Traceback' not in failed.stderr
    assert all(part in failed.stderr for part in said)
    assert lines[-1].startswith('error: ') and sum(line.startswith('error: ') for line in lines) == 1


def test_a_launch_whose_port_is_taken_says_so():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = subprocess.run(['tools/dist_train.sh', DEMO, '2'], cwd=ROOT, capture_output=True, text=True,
                                timeout=300, env=dict(environment(), PORT=str(port)))
    lines = failed.stderr.splitlines()
    if not hasattr(distributed, 'DistNetworkError'):  # torch 2.1 logs from C++ what it tries
        lines = [line for line in lines if '[c10d]' not in line]
    line, = lines
    assert failed.returncode == 1 and f'127.0.0.1:{port}' in line and 'set MASTER_ADDR and PORT' in line


def test_a_nan_loss_in_one_process_ends_all_and_names_its_samples(people, tmp_path):
    config = config_with(tmp_path, "dict(type='Fault', what='nan', iteration=2, rank=1)")
    log = run_two('tools/train.py', config, *train_arguments(people, tmp_path, 3), fails=True)
    assert 'iteration 2: the loss is nan of the samples (img_id' in log
    assert f'last checkpoint: {tmp_path}/iter_1.pth' in log
    assert (tmp_path / 'iter_1.pth').exists() and not (tmp_path / 'iter_2.pth').exists()


def test_missing_data_end_the_launch_and_are_named(people, tmp_path):
    said = run_two('tools/train.py', DEMO, '--data-root', tmp_path / 'nowhere', '--work-dir', tmp_path, fails=True)
    assert 'nowhere/annotations' in said


def test_a_missing_argument_shows_the_usage():
    for script in ('dist_train', 'dist_test', 'slurm_train', 'slurm_test'):
        shown = launch(f'tools/{script}.sh', 'only-one', check=False)
        assert shown.returncode == 2 and f'tools/{script}.sh' in shown.stderr


@pytest.mark.skipif(shutil.which('srun') is not None, reason='srun is installed: this would start a job')
def test_slurm_asks_for_what_was_set(tmp_path):
    """A stub of srun prints its arguments, because there is no cluster here."""
    stub = tmp_path / 'srun'
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    shown = subprocess.run(
        ['tools/slurm_train.sh', 'part', 'job', 'config.py', 'work', '--amp'], cwd=ROOT, capture_output=True,
        text=True, env=dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='16', GPUS_PER_NODE='4'))
    assert shown.stdout.split() == [
        '--partition=part', '--job-name=job', '--gres=gpu:4', '--ntasks=16', '--ntasks-per-node=4',
        '--cpus-per-task=5', '--kill-on-bad-exit=1', 'python', '-u', str(ROOT / 'tools/train.py'), 'config.py',
        '--work-dir', 'work', '--launcher', 'slurm', '--amp']
