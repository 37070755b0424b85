"""Checkpoint files that are written: published (only weights, optionally the average of several) or converted."""
import hashlib
import io
import logging
import os
import re
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from mmpose_mspn.utils.errors import CheckpointError, UserError
from mmpose_mspn.utils.files import FilePath, write_atomically

from .convert import convert, recognize, weights_of
from .embedded_config import config_text, embedded_config
from .fit import compare_state_dicts
from .infer_backbone import check_complete
from .reader import read_checkpoint

RUN_META = ('time', 'seed', 'hook_msgs')
"""Entries of a Runner checkpoint's ``meta`` that describe the run, not the model. They are not published."""


def save_checkpoint(checkpoint: Mapping, path: FilePath, force: bool = False) -> None:
    """Write a checkpoint atomically.

    Args:
        checkpoint: Content of the file.
        path: The file.
        force: Whether to overwrite an existing file.

    Raises:
        FileExistsError: ``path`` exists and ``force`` is not set.
    """
    refuse_to_overwrite(path, force)
    _refuse_not_finite(checkpoint.get('state_dict') or checkpoint.get('model') or {})
    with io.BytesIO() as buffer:
        torch.save(dict(checkpoint), buffer)
        write_atomically(path, buffer.getvalue())


def _refuse_not_finite(weights: Mapping[str, Tensor]) -> None:
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f'{len(broken)} weights are NaN or infinite, such as {broken[0]}: the training has '
                              'diverged; take an earlier checkpoint')


def refuse_to_overwrite(path: FilePath, force: bool) -> None:
    """Raise FileExistsError if ``path`` exists and ``force`` is not set."""
    if os.path.exists(path) and not force:
        raise FileExistsError(f'{path} exists: choose another name, or overwrite it with --force')


def publish(source: FilePath, prefix: str, average: int = 0, recompute_bn: Union[FilePath, Config, None] = None,
            batches: int = 100, force: bool = False,
            config: Union[FilePath, Config, None] = None) -> Path:
    """Write the weights of a checkpoint without the state of the training.

    The file carries the text of the model's config, so that :func:`mmpose_mspn.load` needs no other file: that of
    ``config`` or ``recompute_bn``, or else what predictions need of the config that the checkpoint of a training
    carries, as far as it can be read as data.

    Args:
        source: Checkpoint file, or with ``average`` the work directory of a run.
        prefix: Path of the new file without its ending ``-<first 8 hex digits of its sha256>.pth``, which is how
            OpenMMLab and torch.hub name files.
        average: Number of checkpoints, >= 2, whose mean is published: the last ``iter_*.pth`` or ``epoch_*.pth``,
            including the statistics of the norms. 0 publishes a single checkpoint.
        recompute_bn: Config on whose training data the statistics of the batch norms are measured again.
        batches: Number of batches for this, >= 1.
        force: Whether to overwrite an existing file.
        config: Config of the model.

    Returns:
        Path of the new file.

    Raises:
        FileNotFoundError: ``source`` does not exist.
        FileExistsError: The file exists and ``force`` is not set.
        CheckpointError: A file is not a checkpoint, there are too few, they are not of one model, or they do not fit
            the config.
        UserError: A number is out of range.
    """
    if average < 0 or average == 1:
        raise UserError(f'average must be 0 (none) or >= 2, got {average}')
    if batches < 1:
        raise UserError(f'batches must be >= 1, got {batches}')
    paths = last_checkpoints(source, average) if average else [Path(source)]
    if not average and Path(source).is_dir():
        raise CheckpointError(f'{source} is a folder: name a checkpoint in it, or average its last checkpoints')
    weights = averaged(paths)
    checkpoint = read_checkpoint(paths[-1])
    meta = {key: value for key, value in (checkpoint.get('meta') or {}).items() if key not in RUN_META}
    if average:
        meta['averaged'] = [path.name for path in paths]
    if recompute_bn is not None:
        weights = with_new_norms(weights, recompute_bn, batches)
    given = config if config is not None else recompute_bn
    if given is not None:
        meta['cfg'] = config_text(given)
    else:
        meta.pop('cfg', None)  # the text of the training's config may hold anything: what is read as data is published
        meta.update(_needed_config(checkpoint, paths[-1]))
    if not meta.get('cfg'):
        print_log(f'{paths[-1]} carries no config that can be read as data, so the published file will need '
                  'one when it is loaded: name it with --config', 'current', logging.WARNING)
    return _write(dict(meta=meta, state_dict=weights), prefix, force)


def _write(checkpoint: dict, prefix: str, force: bool) -> Path:
    _refuse_not_finite(checkpoint['state_dict'])
    with io.BytesIO() as buffer:
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
    prefix = re.sub(r'\.pth$', '', str(prefix))
    path = Path(f'{prefix}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    refuse_to_overwrite(path, force)
    write_atomically(path, content)
    return path


def last_checkpoints(folder: FilePath, count: int) -> List[Path]:
    """Return the last ``count`` checkpoints of a run, oldest first.

    Raises:
        FileNotFoundError: There is no such folder.
        CheckpointError: It holds too few checkpoints, or both ``iter_*.pth`` and ``epoch_*.pth``, whose order is
            unknown.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'{folder} is not a folder: an average needs the work directory of a run')
    found = {kind: sorted(Path(folder).glob(f'{kind}_*.pth'), key=lambda path: int(re.sub(r'\D', '', path.stem) or -1))
             for kind in ('iter', 'epoch')}
    if found['iter'] and found['epoch']:
        raise CheckpointError(f'{folder} holds both iter_*.pth and epoch_*.pth: move one kind elsewhere')
    paths = found['iter'] or found['epoch']
    if len(paths) < count:
        raise CheckpointError(f'{folder} holds {len(paths)} checkpoints, but average is {count}: train with a higher '
                              'max_keep_ckpts of the checkpoint hook')
    return paths[-count:]


def averaged(paths: Sequence[Path]) -> Dict[str, Tensor]:
    """Return the mean of several checkpoints' weights, computed in float64.

    Integers, which are counters, are those of the last checkpoint.

    Raises:
        CheckpointError: The checkpoints are not of one model. The message names the keys.
    """
    sums: Dict[str, Tensor] = {}
    weights: Mapping[str, Tensor] = {}
    for path in track_iter_progress(list(paths), file=sys.stderr) if len(paths) > 1 else paths:
        weights = weights_of(read_checkpoint(path), path)
        mismatches = compare_state_dicts(weights, sums or weights)
        if mismatches:
            raise CheckpointError(f'{path} is not of the same model as {paths[0]}: {mismatches}')
        for key, value in weights.items():
            if value.is_floating_point():
                sums[key] = sums[key] + value.double() if key in sums else value.double()
            else:
                sums[key] = value
    return {key: (sums[key] / len(paths)).to(value.dtype) if value.is_floating_point() else value
            for key, value in weights.items()}


def with_new_norms(weights: Mapping[str, Tensor], config: Union[FilePath, Config], batches: int) -> Dict[str, Tensor]:
    """Return ``weights`` with statistics of the batch norms that are measured on training data (torch's ``update_bn``).

    Args:
        weights: Weights of the config's model, in its layout.
        config: Config with the model and the training data.
        batches: Number of batches, >= 1.

    Raises:
        CheckpointError: The weights do not fit the config's model.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    model = revert_sync_batchnorm(MMPOSE_MODELS.build(cfg.model))
    mismatches = compare_state_dicts(weights, model.state_dict())
    if mismatches:
        raise CheckpointError(f'the weights do not fit the config\'s model: {mismatches}')
    model.load_state_dict(weights, strict=False)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model.to(device)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    count = min(batches, len(loader))
    crops = (model.data_preprocessor(batch, True)['inputs'] for batch, _ in zip(loader, range(count)))
    update_bn(track_iter_progress((crops, count), file=sys.stderr), _CropsToHeatmaps(model), device)
    return {key: value.cpu() for key, value in model.state_dict().items()}


class _CropsToHeatmaps(nn.Module):
    """A pose estimator that is called with crops (B, 3, h, w) only, as ``update_bn`` does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> object:
        return self.model(crops, None, mode='tensor')


def convert_file(source: FilePath, target: FilePath, to: str = 'mmpose_mspn', config: Optional[FilePath] = None,
                 force: bool = False) -> int:
    """Convert a checkpoint file of MSPN, or of RSN with an MSPN head, to another layout.

    Args:
        source: File in any layout that :func:`mmpose_mspn.checkpoints.convert` recognizes.
        target: File to write. It holds ``model`` in the official layout, as the official code reads it, and otherwise
            ``state_dict`` and ``meta`` with the source's ``dataset_meta``, if it has one, and with the text of
            ``config`` or, where the layout stays what it is, with the parts of the source's config that predictions
            need.
        to: Layout of ``target``.
        config: Config of the model that the weights must fill. The default is the model that the keys imply.
        force: Whether to overwrite ``target``.

    Returns:
        Number of tensors written.

    Raises:
        FileExistsError: ``target`` exists and ``force`` is not set.
        FileNotFoundError: ``source`` or ``config`` does not exist.
        CheckpointError: ``source`` is not a checkpoint, its layout is not recognized, or weights are missing,
            unexpected or of another shape. The message names them all, and nothing is written.
    """
    refuse_to_overwrite(target, force)
    checkpoint = read_checkpoint(source)
    weights = weights_of(checkpoint, source)
    try:
        converted = convert(weights, to)
        check_complete(weights, config)
    except ValueError as error:
        raise CheckpointError(f'{source}: {error}') from error
    meta = checkpoint.get('meta') or {}
    kept = {'dataset_meta': meta['dataset_meta']} if 'dataset_meta' in meta else {}
    if config is not None:
        kept['cfg'] = config_text(config)
    elif recognize(weights) == to:
        kept.update(_needed_config(checkpoint, source))
    # torch.save writes the whole storage of a tensor, also for a view of a part of it.
    converted = {key: value.contiguous() for key, value in converted.items()}
    save_checkpoint(dict(model=converted) if to == 'official' else dict(meta=kept, state_dict=converted), target, force)
    return len(converted)


def _needed_config(checkpoint: Mapping, path: FilePath) -> Dict[str, str]:
    """``cfg``, the text of the parts of a checkpoint's config that predictions need; nothing if it has none."""
    try:
        found = embedded_config(checkpoint, path)
    except CheckpointError:
        return {}
    return {} if found is None else dict(cfg=config_text(Config(found)))
