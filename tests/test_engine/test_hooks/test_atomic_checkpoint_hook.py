"""Checkpoints under crashes: at every step of the saving, and by SIGKILL while a file is written."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.runner import find_latest_checkpoint

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine import AtomicCheckpointHook
from mmpose_mspn.synthetic_people import generate
from tests.test_engine.toy import runner

ROOT = Path(__file__).parents[3]
ATOMIC = dict(type='mmpose_mspn.AtomicCheckpointHook')


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize('call', ('open', 'fsync', 'replace', 'remove'))
def test_a_crash_at_any_moment_leaves_a_whole_checkpoint(tmp_path, monkeypatch, call):
    """The n-th call of each kind, for all n: what is there to resume from is whole and not older than it must be."""
    real = dict(open=open, fsync=os.fsync, replace=os.replace, remove=os.remove)[call]
    crashes = 0
    for number in range(20):
        count = [0]

        def crashing(*arguments, count=count, number=number, **options):
            # Opening for reading, and the logs, harm nothing.
            if call != 'open' or str(arguments[0]).endswith('.part'):
                count[0] += 1
                if count[0] > number:
                    raise Crash
            return real(*arguments, **options)

        work_dir = tmp_path / str(number)
        run = runner(work_dir, 3, checkpoint=dict(ATOMIC, max_keep_ckpts=1))
        with monkeypatch.context() as patched:
            patched.setattr('builtins.open' if call == 'open' else f'os.{call}', crashing)
            try:
                run.train()
            except Crash:
                crashes += 1
        latest = find_latest_checkpoint(str(work_dir))
        done = run.iter
        if latest is not None:
            assert read_checkpoint(latest)['meta']['iter'] >= done
        else:
            assert done == 0
        if count[0] <= number:
            break
    assert crashes >= 2 and run.iter == 3


def test_keeps_what_mmengines_hook_keeps(tmp_path):
    kept = []
    for name, kind in (('ours', ATOMIC), ('stock', {})):
        runner(tmp_path / name, 5, checkpoint=dict(kind, max_keep_ckpts=2, interval=2)).train()
        run = runner(tmp_path / name, 8, checkpoint=dict(kind, max_keep_ckpts=2, interval=2), resume=True)
        run.train()
        files = sorted(path.name for path in (tmp_path / name).iterdir() if path.suffix != '.py' and path.is_file())
        kept.append((files, Path(find_latest_checkpoint(str(tmp_path / name))).name,
                     run.message_hub.get_info('keep_ckpt_ids')))
    assert kept[0] == kept[1] == (['iter_6.pth', 'iter_8.pth', 'last_checkpoint'], 'iter_8.pth', [6, 8])


def test_the_best_is_there_before_the_last_best_goes(tmp_path, monkeypatch):
    run = runner(tmp_path, 1, checkpoint=dict(ATOMIC, save_best='acc', rule='greater'))
    run.train()
    hook = next(hook for hook in run.hooks if isinstance(hook, AtomicCheckpointHook))
    hook.after_val_epoch(run, dict(acc=0.5))
    first = Path(hook.best_ckpt_path)
    assert first.is_file()
    save = run.save_checkpoint

    def checked_save(*arguments, **options):
        assert first.is_file()
        save(*arguments, **options)

    monkeypatch.setattr(run, 'save_checkpoint', checked_save)
    run.train_loop._iter += 1
    hook.after_val_epoch(run, dict(acc=0.6))
    assert Path(hook.best_ckpt_path).is_file() and not first.exists()
    assert read_checkpoint(find_latest_checkpoint(str(tmp_path)))['message_hub']['runtime_info']['best_score'] == 0.6


def test_file_client_args_are_refused():
    with pytest.raises(ValueError, match='use backend_args'):
        AtomicCheckpointHook(file_client_args=dict(backend='disk'))


def launch(config: Path, work_dir: Path, people: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', 'tools/train.py', str(config), '--no-validate', '--work-dir', str(work_dir),
         '--data-root', str(people), *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))


def kill_while_it_writes(process: subprocess.Popen, work_dir: Path, name: str) -> None:
    """SIGKILL as soon as a part of the checkpoint is on the disk."""
    for _ in range(60000):
        if (work_dir / f'.{name}.part').exists() or process.poll() is not None:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors[-2000:]


def test_killed_while_it_writes_and_resumed_it_ends_with_the_same_weights(tmp_path):
    generate(tmp_path / 'people', train=4, val=1, workers=1, progress=False)
    base = next(ROOT.glob('configs/body_2d_keypoint/topdown_heatmap/coco/*demo_coco-128x96.py'))
    config = tmp_path / 'killed.py'
    config.write_text(
        f'_base_ = {str(base)!r}\n'
        "train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n"
        "train_cfg = dict(max_iters=6)\n"
        'default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))\n')
    for name, resume in (('iter_2.pth', ()), ('iter_3.pth', ('--resume', )), ('iter_5.pth', ('--resume', ))):
        process = launch(config, tmp_path / 'killed', tmp_path / 'people', *resume)
        kill_while_it_writes(process, tmp_path / 'killed', name)
    runs = {'killed': ['--resume'], 'whole': []}
    for name, arguments in runs.items():
        process = launch(config, tmp_path / name, tmp_path / 'people', *arguments)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
    killed, whole = (read_checkpoint(tmp_path / name / 'iter_6.pth') for name in runs)
    assert killed['state_dict'].keys() == whole['state_dict'].keys()
    assert all(torch.equal(killed['state_dict'][key], whole['state_dict'][key]) for key in whole['state_dict'])
    moments = [one['optimizer']['state'][0]['exp_avg'] for one in (killed, whole)]
    assert torch.equal(*moments)
