"""Checkpoints under crashes, at every step of the saving and by SIGKILL while it writes; what they hold loads again."""
import enum
import os
import signal
import time
from collections import OrderedDict, namedtuple
from contextlib import suppress
from pathlib import Path
from typing import Callable, Tuple

import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine import AtomicCheckpointHook
from mmpose_mspn.engine.hooks.atomic_checkpoint_hook import as_plain
from mmpose_mspn.synthetic_people import generate
from tests.launching import Started
from tests.places import DEMO
from tests.test_engine.toy import WithMeta, runner

ATOMIC = dict(type='mmpose_mspn.AtomicCheckpointHook')


CALLS = dict(open=open, fsync=os.fsync, replace=os.replace, remove=os.remove)
"""The calls by which a checkpoint gets to the disk."""


class Crash(BaseException):
    """Stands for the end of the process."""


def crashes_at(monkeypatch, call: str, number: int, work: Callable[[], None]) -> bool:
    """Do the work with a crash in place of the call of that number, from 0; whether there were that many calls."""
    count = 0

    def crashing(*arguments, **options):
        nonlocal count
        # Files that are opened for reading, and logs, are not part of the saving.
        if call != 'open' or str(arguments[0]).endswith('.part'):
            count += 1
            if count > number:
                raise Crash
        return CALLS[call](*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr('builtins.open' if call == 'open' else f'os.{call}', crashing)
        with suppress(Crash):
            work()
    return count > number


@pytest.mark.parametrize('call', CALLS)
def test_a_crash_at_any_moment_leaves_a_whole_checkpoint(tmp_path, monkeypatch, call):
    """The n-th call of each kind, for all n: the checkpoint to resume from is whole and of the last whole iteration."""
    crashes = 0
    for number in range(20):
        work_dir = tmp_path / str(number)
        run = runner(work_dir, 3, checkpoint=dict(ATOMIC, max_keep_ckpts=1))
        crashed = crashes_at(monkeypatch, call, number, run.train)
        latest = find_latest_checkpoint(str(work_dir))
        done = run.iter
        if latest is not None:
            assert read_checkpoint(latest)['meta']['iter'] >= done
        else:
            assert done == 0
        if not crashed:
            break
        crashes += 1
    assert crashes >= 2 and run.iter == 3


def trained_with_best(work_dir: Path, **options) -> Tuple[Runner, CheckpointHook]:
    """A run of one iteration whose hook keeps the best checkpoints, ready for ``after_val_epoch``."""
    run = runner(work_dir, 1, checkpoint={**ATOMIC, 'rule': 'greater', **options})
    run.train()
    return run, next(hook for hook in run.hooks if isinstance(hook, CheckpointHook))


@pytest.mark.parametrize('call', CALLS)
def test_a_crash_at_any_moment_leaves_a_whole_best_checkpoint(tmp_path, monkeypatch, call):
    crashes = 0
    for number in range(20):
        work_dir = tmp_path / str(number)
        run, hook = trained_with_best(work_dir, save_best='acc')
        hook.after_val_epoch(run, dict(acc=0.5))
        run.train_loop._iter += 1
        crashed = crashes_at(monkeypatch, call, number, lambda hook=hook, run=run: hook.after_val_epoch(
            run, dict(acc=0.6)))
        best = list(work_dir.glob('best_acc_*.pth'))
        scores = [read_checkpoint(path)['message_hub']['runtime_info']['best_score'] for path in best]
        assert scores and set(scores) <= {0.5, 0.6}
        if not crashed:
            break
        crashes += 1
    assert crashes >= 1 and scores == [0.6]


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


def test_the_new_best_is_written_before_the_previous_best_is_removed(tmp_path, monkeypatch):
    run, hook = trained_with_best(tmp_path, save_best='acc')
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


def test_each_metric_has_its_best_as_with_mmengines_hook(tmp_path):
    scores = [dict(acc=0.5, auc=0.5), dict(acc=0.6, auc=0.4), dict(acc=0.6, auc=0.7)]
    found = []
    for kind in (ATOMIC['type'], 'CheckpointHook'):
        name = kind.split('.')[-1]
        run, hook = trained_with_best(tmp_path / name, type=kind, save_best=['acc', 'auc'])
        for metrics in scores:
            hook.after_val_epoch(run, metrics)
            run.train_loop._iter += 1
        hub = {key: value for key, value in run.message_hub.runtime_info.items() if key.startswith('best')}
        found.append((sorted(path.name for path in (tmp_path / name).glob('best*')),
                      {key: Path(value).name if 'ckpt' in key else value for key, value in hub.items()}))
    assert found[0] == found[1]
    assert found[0][0] == ['best_acc_iter_2.pth', 'best_auc_iter_3.pth']


def test_a_best_checkpoint_that_replaces_itself_stays(tmp_path):
    """A second validation after the same iteration writes the same file."""
    run, hook = trained_with_best(tmp_path, save_best='acc')
    for score in (0.5, 0.6, 0.4):
        hook.after_val_epoch(run, dict(acc=score))
    assert Path(hook.best_ckpt_path).name == 'best_acc_iter_1.pth'
    assert read_checkpoint(hook.best_ckpt_path)['message_hub']['runtime_info']['best_score'] == 0.6


def test_file_client_args_are_refused():
    with pytest.raises(ValueError, match='use backend_args'):
        AtomicCheckpointHook(file_client_args=dict(backend='disk'))


def launch(config: Path, work_dir: Path, people: Path, *arguments: str) -> Started:
    return Started(['tools/train.py', config, '--no-validate', '--work-dir', work_dir, '--data-root', people,
                    *arguments])


def kill_while_it_writes(process: Started, work_dir: Path, name: str) -> None:
    """Send SIGKILL as soon as a part of the checkpoint is on the disk."""
    for _ in range(60000):
        if (work_dir / f'.{name}.part').exists() or not process.is_running():
            break
        time.sleep(0.001)
    process.kill()
    done = process.finish()
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def test_killed_while_writing_and_resumed_it_trains_to_bit_identical_weights(tmp_path):
    generate(tmp_path / 'people', train=4, val=1, workers=1, progress=False)
    config = tmp_path / 'killed.py'
    config.write_text(
        f'_base_ = {str(DEMO)!r}\n'
        "train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n"
        "train_cfg = dict(max_iters=6)\n"
        'default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))\n')
    for name, resume in (('iter_2.pth', ()), ('iter_3.pth', ('--resume', )), ('iter_5.pth', ('--resume', ))):
        process = launch(config, tmp_path / 'killed', tmp_path / 'people', *resume)
        kill_while_it_writes(process, tmp_path / 'killed', name)
    runs = {'killed': ['--resume'], 'whole': []}
    for name, arguments in runs.items():
        done = launch(config, tmp_path / name, tmp_path / 'people', *arguments).finish()
        assert done.returncode == 0, done.stderr[-2000:]
    killed, whole = (read_checkpoint(tmp_path / name / 'iter_6.pth') for name in runs)
    assert killed['state_dict'].keys() == whole['state_dict'].keys()
    assert all(torch.equal(killed['state_dict'][key], whole['state_dict'][key]) for key in whole['state_dict'])
    moments = [one['optimizer']['state'][0]['exp_avg'] for one in (killed, whole)]
    assert torch.equal(*moments)


# ---------------------------------------------------------------- values in checkpoints

METAINFOS = sorted(Path(mmpose.__file__).parent.glob('.mim/configs/_base_/datasets/*.py'))


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and left.shape == right.shape and bool(
            np.array_equal(left, right))
    if isinstance(left, np.generic):  # 'q' and 'l' are two classes of left type
        return isinstance(right, np.generic) and left.dtype == right.dtype and left == right
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_every_metainfo_of_mmpose(tmp_path, zipped):
    """Eleven of them have no skeleton, and so empty arrays."""
    assert len(METAINFOS) >= 50
    empty = 0
    for path in METAINFOS:
        meta = parse_pose_metainfo(dict(from_file=str(path)))
        empty += not len(meta['skeleton_link_colors'])
        torch.save(dict(meta=as_plain(meta)), tmp_path / 'meta.pth', _use_new_zipfile_serialization=zipped)
        assert same(read_checkpoint(tmp_path / 'meta.pth')['meta'], meta), path
    assert empty >= 10


VALUES = dict(
    empty=np.array([]), rows=np.zeros((0, 2), np.float32), names=np.array(['a', 'bc']),
    objects=np.array([None, 'a', 3], object),
    nothing=np.array([], object), scalars=[np.dtype(code).type(1) for code in '?bBhHiIlLqQefdFD'],
    text=np.str_('a'), raw=np.bytes_(b'a'), bytes=b'', more=b'ab', date=np.datetime64('2020-01-01'),
    zero=np.array(3), fields=np.zeros(2, dtype=[('a', 'i4')]), flags=np.array([True, False]), big=10**40,
    sets={1, 2}, complex=1j, none=None, nested=dict(a=[dict(b=(1, 'c'))]))


@pytest.mark.parametrize('name', VALUES)
def test_values_of_all_kinds_are_trained_with_and_resumed(tmp_path, name):
    meta = dict(value=VALUES[name])
    runner(tmp_path, 1, dataset=WithMeta(meta), checkpoint=ATOMIC).train()
    assert same(read_checkpoint(tmp_path / 'iter_1.pth')['meta']['dataset_meta'], meta)
    resumed = runner(tmp_path, 2, dataset=WithMeta(meta), checkpoint=ATOMIC, resume=True)
    resumed.train()
    assert resumed.iter == 2


def test_what_becomes_plain():
    kind, pair = enum.Enum('kind', dict(person=1)), namedtuple('pair', 'a b')
    plain = as_plain(dict(config=ConfigDict(a=ConfigDict(b=[1])), path=Path('a/b'), kind=kind.person, pair=pair(1, 2),
                          function=len, method=pair._make, ordered=OrderedDict(a=1), frozen=frozenset({1})))
    assert plain.pop('function') is len  # a builtin is refused at the start, it is not part of a scheduler
    assert plain == dict(config=dict(a=dict(b=[1])), path='a/b', kind=1, pair=(1, 2), ordered=OrderedDict(a=1),
                         frozen={1})
    assert type(plain['config']['a']) is dict and type(plain['pair']) is tuple


@pytest.mark.parametrize('schedule', [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9), dict(type='CosineAnnealingLR', T_max=3),
    dict(type='MultiStepLR', milestones=[1, 2])], ids=lambda schedule: schedule['type'])
def test_the_state_of_schedulers(tmp_path, schedule):
    changes = dict(param_scheduler=[dict(schedule, by_epoch=False)], checkpoint=ATOMIC)
    runner(tmp_path, 1, **changes).train()
    resumed = runner(tmp_path, 2, resume=True, **changes)
    resumed.train()
    assert resumed.iter == 2 and read_checkpoint(tmp_path / 'iter_2.pth')['param_schedulers']
