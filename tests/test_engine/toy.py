"""A run of a few milliseconds: real Runner, toy model."""
import itertools
from pathlib import Path
from typing import Optional

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample
from torch import nn

import mmpose_mspn  # noqa: F401

NUMBER = itertools.count()
"""Numbers the runs of this process: two runs of the same name would share their logs."""


class Toy(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.layers(torch.stack(list(inputs)))
        return dict(loss=(out - 1).pow(2).mean()) if mode == 'loss' else out


class Points(torch.utils.data.Dataset):
    """Points in the plane; those with indices in ``bad`` are NaN."""

    def __init__(self, size: int = 12, bad: tuple = ()) -> None:
        self.points = torch.randn(size, 2, generator=torch.Generator().manual_seed(5))
        self.points[list(bad)] = float('nan')

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict:
        sample = PoseDataSample()
        sample.set_metainfo(dict(img_id=100 + index, id=index))
        return dict(inputs=self.points[index], data_samples=sample)


class WithMeta(Points):
    """Points with a metainfo, as datasets of mmpose have one."""

    def __init__(self, metainfo: dict) -> None:
        super().__init__()
        self.metainfo = metainfo


def runner(work_dir: Path, iterations: int = 6, hooks: tuple = (), bad: tuple = (), optim: Optional[dict] = None,
           dataset: Optional[object] = None, loader: Optional[dict] = None, checkpoint: Optional[dict] = None,
           **changes) -> Runner:
    torch.manual_seed(0)
    optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.01), **(optim or {}))
    train_loader = {
        'dataset': dataset or Points(bad=bad), 'batch_size': 2, 'num_workers': 0,
        'sampler': dict(type='DefaultSampler', shuffle=False), **(loader or {})}
    checkpoint = {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 1, **(checkpoint or {})}
    return Runner(**{
        'model': Toy(), 'work_dir': str(work_dir), 'train_dataloader': train_loader, 'optim_wrapper': optim_wrapper,
        'train_cfg': dict(by_epoch=False, max_iters=iterations), 'custom_hooks': list(hooks),
        'default_hooks': dict(checkpoint=checkpoint), 'default_scope': 'mmpose', 'log_level': 'WARNING',
        'experiment_name': f'{work_dir}-{next(NUMBER)}', 'randomness': dict(seed=0), **changes})
