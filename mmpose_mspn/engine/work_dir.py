"""What a run starts from: the checkpoint of its folder, weight files, and that only one training writes to a folder."""
import logging
import os
import os.path as osp
import re
import shutil
import time
from pathlib import Path
from typing import IO, Dict, Iterator, List, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from torch import distributed

from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.utils.errors import DownloadError, OutputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
"""The environment variables in which launchers tell a process its rank, before mmengine has created the group."""
LOCK = '.training.lock'
_LOCKS: Dict[str, IO] = {}
"""Locks that this process holds, by folder."""


class WorkDirError(OutputError):
    """A training cannot start in a work directory, because it belongs to another one."""


def is_first_process(cfg: Config) -> bool:
    """Whether this is the run's only process, or the one of rank 0."""
    return int(os.environ.get(RANKS.get(cfg.get('launcher', 'none'), ''), 0)) == 0


def latest_checkpoint(work_dir: str, out_dir: Optional[str] = None) -> Optional[str]:
    """Return the checkpoint that a training in ``work_dir`` is resumed from.

    ``last_checkpoint`` holds an absolute path. In a folder that was copied or moved it names a file of the original, so
    only its file name is used.

    Args:
        out_dir: ``out_dir`` of the checkpoint hook, if its checkpoints lie elsewhere.

    Returns:
        The path; None if no checkpoint has been written yet.

    Raises:
        WorkDirError: There are checkpoints, but not the one that ``last_checkpoint`` names.
    """
    record = Path(work_dir, 'last_checkpoint')
    recorded = record.read_text().strip() if record.is_file() else ''
    if out_dir and recorded and '://' in recorded:
        return recorded  # of a store that is not a local disk
    folder = _checkpoint_folder(work_dir, out_dir)
    # Splits the paths of all systems.
    name = re.split(r'[\\/]', recorded)[-1]
    if name and (folder / name).exists():
        return str(folder.absolute() / name)
    present = _checkpoints(folder)
    if present:
        what = f'names {recorded}, whose file is not there' if recorded else 'is missing or empty'
        raise WorkDirError(f'{record} {what}, but {folder} holds {", ".join(present[-3:])}: choose one with '
                           '--resume FILE')
    return None


def _checkpoint_folder(work_dir: str, out_dir: Optional[str]) -> Path:
    """The folder of the checkpoints; mmengine appends the last part of ``work_dir`` to ``out_dir``."""
    return Path(out_dir, osp.basename(osp.abspath(work_dir))) if out_dir else Path(work_dir)


def _checkpoints(folder: Path) -> List[str]:
    paths = [path for path in folder.glob('*.pth') if re.fullmatch(r'(iter|epoch)_\d+', path.stem)]
    return [path.name for path in sorted(paths, key=lambda path: int(path.stem.split('_')[1]))]


def choose_start(cfg: Config, resume: Optional[str]) -> None:
    """Set ``resume`` and ``load_from`` of a training, and check that its work directory is free for it.

    Args:
        cfg: The config with ``work_dir`` and ``launcher``; changed in place.
        resume: None for a new training, unless ``cfg.resume`` says otherwise; ``'auto'`` for the latest checkpoint of
            the work directory, or a new training (with ``cfg.load_from``, if it is set) where there is none; or the
            file of a checkpoint.

    Raises:
        WorkDirError: Another training is running in the work directory or has left checkpoints there.
    """
    out_dir = _out_dir(cfg)
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or 'auto'
    if is_first_process(cfg):
        lock(cfg.work_dir)
    if resume == 'auto':
        latest = latest_checkpoint(cfg.work_dir, out_dir)
        cfg.resume = latest is not None
        if latest is not None:
            cfg.load_from = latest
        else:
            start = cfg.get('load_from')
            print_log(f'{cfg.work_dir} holds no checkpoint to resume from: the training starts from '
                      + (f'the weights of load_from, {start}' if start else 'the beginning'),
                      'current', logging.WARNING)
    elif resume is not None:
        cfg.resume, cfg.load_from = True, resume
    elif is_first_process(cfg):  # a restart has moved them, and it is the first process that moves them
        _refuse_checkpoints_of_another_training(cfg.work_dir, out_dir)


def _out_dir(cfg: Config) -> Optional[str]:
    return ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('out_dir')


def _refuse_checkpoints_of_another_training(work_dir: str, out_dir: Optional[str]) -> None:
    present = _checkpoints(_checkpoint_folder(work_dir, out_dir))
    if present:
        raise WorkDirError(
            f'work directory {work_dir} holds checkpoints of another training ({", ".join(present[-3:])}), and the two '
            'would mix: continue that training with --resume, choose another --work-dir, or set its checkpoints aside '
            'with --restart')


def set_checkpoints_aside(cfg: Config) -> None:
    """Move the checkpoints of an earlier training in a run's work directory into a subfolder of it.

    Raises:
        WorkDirError: That training is running.
    """
    if not is_first_process(cfg):
        return
    lock(cfg.work_dir)
    folder = _checkpoint_folder(cfg.work_dir, _out_dir(cfg))
    moved = [folder / name for name in _checkpoints(folder)] + sorted(folder.glob('best_*.pth'))
    moved += [path for path in [Path(cfg.work_dir, 'last_checkpoint')] if path.exists()]
    if not moved:
        return
    aside = folder / time.strftime('before_%Y%m%d_%H%M%S')
    aside.mkdir(exist_ok=True)
    for path in moved:
        shutil.move(str(path), str(aside / path.name))
    print_log(f'the checkpoints of an earlier training in {folder} are moved to {aside}', 'current', logging.WARNING)


def lock(work_dir: str) -> None:
    """Reserve a work directory for this process until it ends, in whatever way it ends.

    Data workers do not inherit the lock, so it is free as soon as the training process is gone. The locks of filelock
    below version 4 are inherited: a folder stayed reserved for 5 s after its training was killed. Where the file system
    has no locks, a warning is logged.

    Raises:
        WorkDirError: Another process has reserved it.
    """
    key = osp.realpath(work_dir)
    if fcntl is None or key in _LOCKS:
        return
    os.makedirs(work_dir, exist_ok=True)
    file = open(osp.join(work_dir, LOCK), 'a+')  # noqa: SIM115  open as long as the process runs
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise WorkDirError(f'another training{f" (process {holder})" if holder else ""} is running in {work_dir}, and '
                           'their checkpoints would mix: wait for its end, or choose another --work-dir') from error
    except OSError as error:
        file.close()
        print_log(f'{work_dir} cannot be locked ({error}): no second training may run in it', 'current',
                  logging.WARNING)
        return
    file.truncate(0)
    file.write(f'{os.getpid()} on {os.uname().nodename}')
    file.flush()
    _LOCKS[key] = file


def check_weight_files(cfg: Config, initializes: bool) -> None:
    """Read the weight files that a run starts from: ``load_from``, and those of ``init_cfg`` in the model.

    Files with a URL, such as ImageNet weights, are downloaded if they are not on this machine. In a distributed run
    the first process does this.

    Args:
        initializes: Whether the run applies ``init_cfg``. A training does; a test takes all weights from its
            checkpoint, and must not need ImageNet weights.

    Raises:
        FileNotFoundError: A file does not exist.
        CheckpointError: A file is not a checkpoint, is not safe to load, or cannot be downloaded.
    """
    if not is_first_process(cfg) and not (distributed.is_available() and distributed.is_initialized()):
        return
    try:
        for name in dict.fromkeys(_pretrained(cfg.get('model')) if initializes else ()):
            read_checkpoint(name)
    except DownloadError as error:
        raise DownloadError(f'{error}, or go without ImageNet weights, with --cfg-options '
                            'model.backbone.init_cfg=None') from error
    if cfg.get('load_from'):
        read_checkpoint(cfg.load_from)


def _pretrained(node: object) -> Iterator[str]:
    """Checkpoints in the ``init_cfg`` of a model's config and of its parts."""
    if isinstance(node, dict):
        if node.get('type') == 'Pretrained' and isinstance(node.get('checkpoint'), str):
            yield node['checkpoint']
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _pretrained(value)
