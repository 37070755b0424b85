"""The command lines, as real processes: training, resuming, testing, in one process and in two."""
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmpose_mspn.datasets.synthetic import generate

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
TINY = ['train_dataloader.batch_size=2', 'train_dataloader.num_workers=0', 'test_dataloader.num_workers=0',
        'val_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'val_dataloader.persistent_workers=False', 'test_dataloader.persistent_workers=False']


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('people')
    generate(root, train=4, val=5, workers=1, progress=False)
    return root


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300,
        env=dict(os.environ, PYTHON=sys.executable, PYTHONWARNINGS='ignore', PORT=str(port), OMP_NUM_THREADS='1'))
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def train_arguments(people: Path, work_dir: Path, iterations: int) -> list:
    return ['--data-root', people, '--work-dir', work_dir, '--cfg-options', *TINY,
            f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={iterations}',
            'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1']


@pytest.fixture(scope='module')
def checkpoint(people, tmp_path_factory) -> Path:
    """Trained for one step by tools/train.py, then resumed for another."""
    work_dir = tmp_path_factory.mktemp('work')
    run(sys.executable, 'tools/train.py', CONFIG, '--no-validate', *train_arguments(people, work_dir, 1))
    resumed = run(sys.executable, 'tools/train.py', CONFIG, '--resume', *train_arguments(people, work_dir, 2))
    log = resumed.stdout + resumed.stderr
    assert 'Iter(train) [2/2]' in log and 'Iter(train) [1/2]' not in log
    assert 'coco/AP' in log and 'loss_stage1' in log
    return work_dir / 'iter_2.pth'


def test_train_resume_and_test(people, checkpoint, tmp_path):
    run(sys.executable, 'tools/test.py', CONFIG, checkpoint, '--data-root', people, '--work-dir', tmp_path,
        '--out', tmp_path / 'metrics.json', '--dump', tmp_path / 'predictions.pkl', '--show-dir', 'drawn',
        '--cfg-options', *TINY)
    assert 'coco/AP' in json.loads((tmp_path / 'metrics.json').read_text())
    assert (tmp_path / 'predictions.pkl').stat().st_size > 0
    assert len(list(tmp_path.rglob('drawn/*'))) > 0


def test_two_processes_measure_what_one_measures(people, checkpoint, tmp_path):
    """An odd number of people: no sample is counted twice or lost."""
    arguments = ['--data-root', people, '--cfg-options', *TINY]
    run(sys.executable, 'tools/test.py', CONFIG, checkpoint, '--work-dir', tmp_path / 'one',
        '--out', tmp_path / 'one.json', *arguments)
    run('tools/dist_test.sh', CONFIG, checkpoint, 2, '--work-dir', tmp_path / 'two',
        '--out', tmp_path / 'two.json', *arguments)
    assert json.loads((tmp_path / 'one.json').read_text()) == json.loads((tmp_path / 'two.json').read_text())


def test_two_processes_train(people, tmp_path):
    log = run('tools/dist_train.sh', CONFIG, 2, '--amp', *train_arguments(people, tmp_path, 1))
    assert 'Iter(train) [1/1]' in log.stdout + log.stderr
    assert (tmp_path / 'iter_1.pth').exists()


def test_a_failing_process_ends_the_launch_with_its_error(people, tmp_path):
    failed = run('tools/dist_train.sh', CONFIG, 2, '--data-root', tmp_path / 'nowhere', '--work-dir', tmp_path,
                 check=False)
    assert failed.returncode != 0 and 'nowhere/annotations' in failed.stdout + failed.stderr


def test_a_missing_argument_shows_the_usage():
    for script in ('dist_train', 'dist_test', 'slurm_train', 'slurm_test'):
        shown = run(f'tools/{script}.sh', 'only-one', check=False)
        assert shown.returncode == 2 and f'tools/{script}.sh' in shown.stderr


@pytest.mark.skipif(shutil.which('srun') is not None, reason='srun is installed: this would start a job')
def test_slurm_asks_for_what_was_set(tmp_path):
    """A stand-in srun prints its arguments: there is no cluster here."""
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
