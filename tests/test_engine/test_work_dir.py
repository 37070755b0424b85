"""Which checkpoint a training starts from, and that only one training writes to a folder."""
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint
from mmpose_mspn.engine.work_dir import (
    WorkDirError,
    check_weight_files,
    choose_start,
    latest_checkpoint,
    set_checkpoints_aside,
)
from tests.planted import plant
from tests.test_engine.toy import WithMeta, runner

ATOMIC = dict(type='mmpose_mspn.AtomicCheckpointHook')


def config(work_dir: Path, **changes) -> Config:
    return Config(dict(work_dir=str(work_dir), launcher='none', **changes))


def write(work_dir: Path, *names: str, last: str = '') -> Path:
    work_dir.mkdir(parents=True, exist_ok=True)
    for name in names:
        (work_dir / name).touch()
    if last:
        (work_dir / 'last_checkpoint').write_text(last)
    return work_dir


def test_a_second_training_is_refused_where_another_has_left_checkpoints(tmp_path):
    for name in ('iter_4.pth', 'epoch_1.pth'):
        work_dir = write(tmp_path / name[:4], name)
        with pytest.raises(WorkDirError, match=f'checkpoints of another training \\({name}\\).*--resume.*--work-dir.*'
                                               '--restart'):
            choose_start(config(work_dir), None)
    choose_start(config(write(tmp_path / 'died', 'config.py', 'output.txt')), None)  # before its first checkpoint


def test_a_restart_sets_checkpoints_aside(tmp_path):
    work_dir = write(tmp_path / 'w', 'iter_4.pth', 'best_AP_iter_2.pth', 'notes.txt', 'pretrained.pth',
                     last='iter_4.pth')
    set_checkpoints_aside(config(work_dir))
    choose_start(config(work_dir), None)
    aside, = work_dir.glob('before_*')
    assert sorted(path.name for path in aside.iterdir()) == ['best_AP_iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    assert (work_dir / 'notes.txt').exists() and (work_dir / 'pretrained.pth').exists()
    set_checkpoints_aside(config(work_dir))  # nothing is left to move
    assert len(list(work_dir.glob('before_*'))) == 1


@pytest.mark.parametrize('given', ['option', 'config'])
def test_resuming_an_empty_folder_starts_from_load_from(tmp_path, given, caplog):
    cfg = config(tmp_path / 'w', load_from='start.pth') if given == 'option' else config(tmp_path / 'w', resume=True)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    choose_start(cfg, 'auto' if given == 'option' else None)
    logger.removeHandler(caplog.handler)
    assert not cfg.resume and cfg.get('load_from') == ('start.pth' if given == 'option' else None)
    said = 'the weights of load_from, start.pth' if given == 'option' else 'the beginning'
    assert f'holds no checkpoint to resume from: the training starts from {said}' in caplog.text


def test_resuming_continues_from_the_latest_and_not_from_load_from(tmp_path):
    work_dir = write(tmp_path / 'w', 'iter_2.pth', 'iter_4.pth', last=f'{tmp_path}/w/iter_4.pth')
    cfg = config(work_dir, load_from='start.pth')
    choose_start(cfg, 'auto')
    assert cfg.resume and cfg.load_from == f'{work_dir}/iter_4.pth'
    choose_start(cfg, f'{work_dir}/iter_2.pth')
    assert cfg.resume and cfg.load_from == f'{work_dir}/iter_2.pth'


def test_a_record_of_another_folder_names_the_own_file(tmp_path):
    work_dir = write(tmp_path / 'copy', 'iter_4.pth', last=str(write(tmp_path / 'w', 'iter_4.pth') / 'iter_4.pth'))
    assert latest_checkpoint(str(work_dir)) == f'{work_dir}/iter_4.pth'
    (work_dir / 'last_checkpoint').write_text(r'C:\runs\w\iter_4.pth')
    assert latest_checkpoint(str(work_dir)) == f'{work_dir}/iter_4.pth'
    out = write(tmp_path / 'out' / 'copy', 'iter_9.pth')
    (work_dir / 'last_checkpoint').write_text('/elsewhere/copy/iter_9.pth')
    assert latest_checkpoint(str(work_dir), str(tmp_path / 'out')) == f'{out}/iter_9.pth'
    (work_dir / 'last_checkpoint').write_text('s3://bucket/copy/iter_9.pth')
    assert latest_checkpoint(str(work_dir), 's3://bucket') == 's3://bucket/copy/iter_9.pth'


@pytest.mark.parametrize('last, match', [('iter_9.pth', 'names iter_9.pth, whose file is not there'),
                                         (' ', 'is missing or empty'), ('', 'is missing or empty')])
def test_a_record_that_names_no_file_is_refused(tmp_path, last, match):
    work_dir = write(tmp_path / 'w', 'iter_10.pth', 'iter_4.pth', last=last)
    with pytest.raises(WorkDirError, match=f'{match}, but .* holds iter_4.pth, iter_10.pth: choose one with --resume'):
        latest_checkpoint(str(work_dir))
    assert latest_checkpoint(str(tmp_path)) is None


HOLD = ('import sys, time\nimport mmpose_mspn\nfrom mmpose_mspn.engine.work_dir import lock\n'
        'lock(sys.argv[1])\n'
        'import torch.utils.data as d\n'
        'it = iter(d.DataLoader(list(range(9)), num_workers=1))\nnext(it)\n'
        'print("locked", flush=True)\ntime.sleep(300)\n')


def test_a_running_training_keeps_others_out_until_it_is_killed(tmp_path):
    """The lock is gone with the process, although its data worker may live a little longer."""
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', HOLD, str(tmp_path / 'w')],
                               stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONPATH=os.getcwd()))
    try:
        assert process.stdout.readline() == 'locked\n'
        for resume in (None, 'auto'):
            with pytest.raises(WorkDirError, match=f'another training \\(process {process.pid} .*is running in'):
                choose_start(config(tmp_path / 'w'), resume)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    choose_start(config(tmp_path / 'w'), None)


def best_of(run) -> object:
    return next(hook for hook in run.hooks if type(hook).__name__ == 'AtomicCheckpointHook')


def test_a_copied_folder_is_resumed_from_its_own_files_and_leaves_the_original_alone(tmp_path):
    kept = dict(ATOMIC, max_keep_ckpts=1, save_best='acc', rule='greater')
    first = runner(tmp_path / 'first', 2, checkpoint=kept)
    first.train()
    best_of(first).after_val_epoch(first, dict(acc=0.5))
    shutil.copytree(tmp_path / 'first', tmp_path / 'copy')
    original = {path.name: path.read_bytes() for path in (tmp_path / 'first').glob('*.pth')}
    assert set(original) == {'iter_2.pth', 'best_acc_iter_2.pth'}
    changed = read_checkpoint(tmp_path / 'copy/iter_2.pth')
    changed['meta']['iter'] = 1  # to tell it from the original
    torch.save(changed, tmp_path / 'copy/iter_2.pth')
    second = runner(tmp_path / 'copy', 1, checkpoint=kept, resume=True)
    second.train()
    assert second.iter == 1 and second.message_hub.get_info('best_ckpt') == f'{tmp_path}/copy/best_acc_iter_2.pth'
    third = runner(tmp_path / 'copy', 3, checkpoint=kept, resume=True)
    third.train()
    best_of(third).after_val_epoch(third, dict(acc=0.6))
    assert {path.name for path in (tmp_path / 'copy').glob('*.pth')} == {'iter_3.pth', 'best_acc_iter_3.pth'}
    assert {path.name: path.read_bytes() for path in (tmp_path / 'first').glob('*.pth')} == original


def test_weight_files_are_read_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('http_proxy', '')
    model = dict(backbone=dict(type='MSPN', init_cfg=dict(type='Pretrained', checkpoint=f'{tmp_path}/none.pth')),
                 head=dict(init_cfg=[dict(type='Normal', std=0.1)]))
    with pytest.raises(FileNotFoundError, match='none.pth does not exist'):
        check_weight_files(config(tmp_path, model=model), initializes=True)
    model['backbone']['init_cfg']['checkpoint'] = 'http://127.0.0.1:9/resnet50-0676ba61.pth'
    with pytest.raises(CheckpointError, match='resnet50-0676ba61.pth cannot be downloaded .*: put the file '
                                              f'resnet50-0676ba61.pth into {tmp_path}/torch/hub/checkpoints.*, or go '
                                              'without ImageNet weights, with --cfg-options model.backbone.init_cfg'):
        check_weight_files(config(tmp_path, model=model), initializes=True)
    check_weight_files(config(tmp_path, model=model), initializes=False)  # a test reads no ImageNet weights
    place = tmp_path / 'torch/hub/checkpoints'
    torch.save(dict(a=torch.zeros(1)), place / 'resnet50-0676ba61.pth')
    check_weight_files(config(tmp_path, model=model), initializes=True)
    (tmp_path / 'cut.pth').write_bytes((place / 'resnet50-0676ba61.pth').read_bytes()[:100])
    plant(tmp_path / 'planted.pth', {})
    for name in ('cut', 'planted'):
        with pytest.raises(CheckpointError, match=f'{name}.pth') as error:
            check_weight_files(config(tmp_path, load_from=f'{tmp_path}/{name}.pth'), initializes=False)
        assert '\n' not in str(error.value)


def test_only_the_first_process_decides(tmp_path, monkeypatch):
    work_dir = write(tmp_path / 'w', 'iter_4.pth')
    for launcher, variable in (('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')):
        monkeypatch.setenv(variable, '1')
        cfg = config(work_dir, model=dict(init_cfg=dict(type='Pretrained', checkpoint='none.pth')))
        cfg.launcher = launcher
        choose_start(cfg, None)
        check_weight_files(cfg, initializes=True)
        monkeypatch.setenv(variable, '0')
        with pytest.raises(WorkDirError):
            choose_start(cfg, None)
        with pytest.raises(FileNotFoundError):
            check_weight_files(cfg, initializes=True)


def test_a_metainfo_that_cannot_be_loaded_again_is_refused_before_the_first_step(tmp_path):
    run = runner(tmp_path, 2, dataset=WithMeta(dict(colors=slice(3))), checkpoint=ATOMIC)
    with pytest.raises(CheckpointError, match='the metainfo of the train dataset holds values .*slice'):
        run.train()
    assert run.iter == 0 and not list(tmp_path.glob('*.pth'))
