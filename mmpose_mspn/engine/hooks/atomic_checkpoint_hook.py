"""Checkpoints that survive a crash at any moment, and that can be loaded again without running code from the file."""
import enum
import os.path as osp
import re
import tempfile
from collections import Counter, OrderedDict
from functools import partial
from pathlib import Path, PurePath
from types import FunctionType, MethodType
from typing import Any, Dict, List, Optional, Union

import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.engine.work_dir import latest_checkpoint
from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import CheckpointError, ConfigError
from mmpose_mspn.utils.files import write_atomically

BACKEND = 'mmpose_mspn_atomic'
KEPT = 'keep_ckpt_ids'
"""mmengine's name, in the message hub, for the steps whose checkpoints are kept."""
FUNCTIONS = (FunctionType, MethodType, partial)


@register_backend(BACKEND, force=True)
class AtomicBackend(LocalBackend):
    """mmengine's access to local files, which writes each file whole: a crash leaves the old file or the new one."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        write_atomically(filepath, obj)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's hook with its steps reordered, so that there is a whole checkpoint to resume from at any moment.

    mmengine writes a checkpoint in place, empties ``last_checkpoint`` before it fills it, and removes the oldest
    checkpoint, or the previous best one, before it has written the new one. Here a checkpoint is written under another
    name, synced to the disk and renamed; then ``last_checkpoint`` is replaced in the same way; then outdated
    checkpoints are removed.

    Args:
        kwargs: The arguments of mmengine's hook. ``backend_args`` that name a store other than the local disk are
            passed on unchanged.

    Raises:
        ConfigError: ``file_client_args`` is given, mmengine's deprecated way to name a store.
    """

    def __init__(self, **kwargs) -> None:
        if kwargs.get('file_client_args') is not None:
            raise ConfigError('file_client_args is deprecated and cannot be atomic: use backend_args, got '
                             f'{kwargs["file_client_args"]}')
        backend = kwargs.pop('backend_args', None)
        local = backend is None or backend == dict(backend='local')
        super().__init__(backend_args=dict(backend=BACKEND) if local else backend, **kwargs)

    def before_run(self, runner: Runner) -> None:
        """Resume from this work directory's own checkpoint, also if the directory was copied or moved."""
        if runner._resume and runner._load_from is None:
            runner._load_from = latest_checkpoint(runner.work_dir, self.out_dir)

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        check_loadable(runner)
        if self.save_best:
            self._set_best_paths({metric: self._own(path) for metric, path in self._best_paths().items()})
        info = runner.message_hub.runtime_info
        for key in [key for key in info if key == 'last_ckpt' or key.startswith('best_ckpt')]:
            runner.message_hub.update_info(key, self._own(info[key]) or info[key])

    def _own(self, path: Optional[str]) -> Optional[str]:
        """The file of that name among this run's checkpoints, or None.

        The checkpoint of a resumed run holds absolute paths. In a copied work directory they name the original's files,
        which this run must not remove.
        """
        if not path:
            return None
        copied = self.file_backend.join_path(self.out_dir, re.split(r'[\\/]', str(path))[-1])
        return copied if self.file_backend.exists(copied) else None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        for part in ('meta', 'message_hub', 'param_schedulers'):
            if part in checkpoint:
                checkpoint[part] = as_plain(checkpoint[part])

    def _save_checkpoint(self, runner: Runner) -> None:
        step, epoch, iteration = runner.iter + 1, runner.epoch, runner.iter + 1
        if self.by_epoch:
            step, epoch, iteration = runner.epoch + 1, runner.epoch + 1, runner.iter
        self._save_checkpoint_with_step(runner, step, dict(epoch=epoch, iter=iteration))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, save_optimizer=self.save_optimizer, save_param_scheduler=self.save_param_scheduler,
            meta=meta, by_epoch=self.by_epoch, backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_atomically(osp.join(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
            for old in outdated:
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))

    def _keep(self, runner: Runner, step: int) -> List[int]:
        """Write the kept steps to the message hub, and so to the checkpoint; return the steps to remove."""
        if self.max_keep_ckpts <= 0:
            return []
        kept = [old for old in runner.message_hub.runtime_info.get(KEPT, []) if old != step] + [step]
        runner.message_hub.update_info(KEPT, kept[-self.max_keep_ckpts:])
        return kept[:-self.max_keep_ckpts]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint, then remove the previous best one.

        mmengine's method removes the previous best checkpoint first, if it knows one. It is called without one.
        """
        if not self.save_best:
            return
        previous = self._best_paths()
        self._set_best_paths(dict.fromkeys(previous))
        super()._save_best_checkpoint(runner, metrics)
        new = self._best_paths()
        self._set_best_paths({metric: new[metric] or previous[metric] for metric in previous})
        for metric, path in previous.items():
            if path and new[metric] not in (None, path) and is_main_process():
                self._remove(path)
                runner.logger.info(f'The previous best checkpoint {path} is removed')

    def _best_paths(self) -> Dict[str, Optional[str]]:
        """The best checkpoint of each metric of ``save_best``; ``None`` where none is saved yet."""
        if len(self.key_indicators) == 1:
            return {'': self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _set_best_paths(self, paths: Dict[str, Optional[str]]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict = dict(paths)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)


def as_plain(value: Any) -> Any:
    """Return nested values with configs, paths, named tuples and members of enumerations as plain Python values.

    Functions are left out of dicts: schedulers keep them in their state, and set them again when they are built.
    """
    if isinstance(value, enum.Enum):
        return as_plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dict):
        kind = type(value) if type(value) in (OrderedDict, Counter) else dict
        return kind({as_plain(key): as_plain(item) for key, item in value.items() if not isinstance(item, FUNCTIONS)})
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return kind(as_plain(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return set(value)
    return value


def check_loadable(runner: Runner) -> None:
    """Check before a training that its checkpoints can be loaded again: the part of them that holds no weights.

    Raises:
        CheckpointError: A value would make every checkpoint unreadable. The message names it.
    """
    meta = getattr(runner.train_dataloader.dataset, 'metainfo', None)
    parts = {'the metainfo of the train dataset': meta}
    parts.update((f'{name!r} in the message hub', value) for name, value in runner.message_hub.runtime_info.items()
                 if runner.message_hub._resumed_keys.get(name))
    schedulers = runner.param_schedulers if isinstance(runner.param_schedulers, list) else []
    parts.update((f'the state of {type(scheduler).__name__}', scheduler.state_dict()) for scheduler in schedulers)
    for name, value in parts.items():
        error = _unloadable(as_plain(value))
        if error:
            raise CheckpointError(f'{name} holds values that no checkpoint can be loaded with ({error}): write them as '
                                  'numbers, strings, lists, dicts or numpy arrays')


def _unloadable(value: Any) -> str:
    """Why a value cannot be loaded from a checkpoint again; empty if it can."""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'value.pth')
        try:
            torch.save(dict(value=value), path)
            read_checkpoint(path)
        except Exception as error:  # pickle raises errors of many classes
            return str(error).replace(path, '').splitlines()[0].strip()
    return ''
