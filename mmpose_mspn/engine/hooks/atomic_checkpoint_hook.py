"""Checkpoints that a crash cannot harm."""
import os.path as osp
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Union

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.files import write_atomically

BACKEND = 'mmpose_mspn_atomic'
KEPT = 'keep_ckpt_ids'


@register_backend(BACKEND, force=True)
class AtomicBackend(LocalBackend):
    """mmengine's access to local files; a file it writes is the old one or the new one, never a part."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        write_atomically(filepath, obj)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's hook, in an order that leaves a whole checkpoint to resume from whenever the process dies.

    mmengine writes a checkpoint in place, empties ``last_checkpoint`` before it fills it, and removes the oldest
    checkpoint, or the best one, before the new one is there. Here a checkpoint is written whole under another name,
    synced to the disk and renamed; then ``last_checkpoint`` names it, in the same way; then what is outdated goes.

    Args:
        kwargs: As for mmengine's hook. ``backend_args`` of another store than the local disk are used as they are.

    Raises:
        ValueError: ``file_client_args``, mmengine's deprecated way to name a store.
    """

    def __init__(self, **kwargs) -> None:
        if kwargs.get('file_client_args') is not None:
            raise ValueError('file_client_args is deprecated and cannot be atomic: use backend_args, got '
                             f'{kwargs["file_client_args"]}')
        backend = kwargs.pop('backend_args', None)
        local = backend is None or backend == dict(backend='local')
        super().__init__(backend_args=dict(backend=BACKEND) if local else backend, **kwargs)

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
        """Note in the message hub, and so in the checkpoint, which steps are kept; those to remove."""
        if self.max_keep_ckpts <= 0:
            return []
        kept = [old for old in runner.message_hub.runtime_info.get(KEPT, []) if old != step] + [step]
        runner.message_hub.update_info(KEPT, kept[-self.max_keep_ckpts:])
        return kept[:-self.max_keep_ckpts]

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._removing_last() as outdated:
            super()._save_best_checkpoint(runner, metrics)
        if is_main_process():
            for path in outdated:
                self._remove(path)

    @contextmanager
    def _removing_last(self) -> Iterator[List[str]]:
        """Collect what mmengine's hook removes meanwhile."""
        outdated = []
        self.file_backend.remove = outdated.append
        try:
            yield outdated
        finally:
            del self.file_backend.remove
