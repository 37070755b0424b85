"""Resuming with other options than --fast, --amp and --low-memory had: the same training up to rounding."""
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest
import torch
from mmengine.runner import Runner

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.fused_optimizers import FIRST_ON_CPUS
from tests.building import SMALL, codec, samples
from tests.launched_hooks import FrozenNorms  # noqa: F401  registered
from tests.test_engine.toy import runner

FAST = dict(optimizer=dict(fused=True), hooks=['ChannelsLastHook'])
AMP = dict(type='mmpose_mspn.CPUAmpOptimWrapper')
OPTIONS = {
    'plain': {},
    'fast': FAST,
    'amp': AMP,
    'amp-fast': {**AMP, **FAST},
    'low-memory': dict(with_cp=True),
}
"""What the options of tools/train.py set in a config."""
STEPS = 4


class People(torch.utils.data.Dataset):
    """Random crops and keypoints."""

    def __init__(self) -> None:
        self.labels = samples(4)
        self.images = torch.randint(0, 255, (4, 3, 64, 48), generator=torch.Generator().manual_seed(1)).byte()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=self.images[index], data_samples=self.labels[index])


@contextmanager
def repeatable() -> Iterator[None]:
    """A context in which a GPU repeats its results bit for bit, and computes float32 in float32."""
    if not torch.cuda.is_available():
        yield
        return
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    torch.use_deterministic_algorithms(True)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.use_deterministic_algorithms(False)


def train(work_dir: Path, options: str, steps: int, **changes) -> Runner:
    """Steps in a smooth regime, in which rounding does not grow: with this eps, Adam moves weights like SGD."""
    chosen = dict(OPTIONS[options])
    with_cp, hooks = chosen.pop('with_cp', False), chosen.pop('hooks', [])
    optimizer = dict(type='Adam', lr=1e-5, eps=100, **chosen.pop('optimizer', {}))
    model = dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor', mean=[120.] * 3, std=[60.] * 3),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, encoder={**SMALL, 'base_channels': 8, 'stem_channels': 8},
                      unit_channels=16, with_cp=with_cp),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=17, unit_channels=16, decoder=codec()))
    run = runner(
        work_dir, steps, model=model, dataset=People(), optim_wrapper=dict(optimizer=optimizer, **chosen),
        hooks=[dict(type='FrozenNorms'),
               *(dict(type=f'mmpose_mspn.{name}') for name in [*hooks, 'ResumableDataHook', 'CheckpointFitHook'])],
        loader=dict(collate_fn=dict(type='pseudo_collate'), sampler=dict(type='DefaultSampler', shuffle=True)),
        checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook'), **changes)
    with repeatable():
        run.train()
    return run


def weights(work_dir: Path, step: int) -> dict:
    return {key: value.double() for key, value in read_checkpoint(work_dir / f'iter_{step}.pth')['state_dict'].items()}


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    """Trainings without an interruption, one for each option, with a checkpoint after each step."""
    folder = tmp_path_factory.mktemp('whole')
    for options in OPTIONS:
        train(folder / options, options, STEPS)
    return folder


def distance(one: dict, other: dict) -> float:
    return float(sum((one[key] - other[key]).square().sum() for key in one if key.endswith(('weight', 'bias'))).sqrt())


@pytest.mark.parametrize('then', OPTIONS)
@pytest.mark.parametrize('first', OPTIONS)
def test_resuming_trains_to_the_weights_of_a_run_without_interruption(whole, tmp_path, first, then):
    start = f'{whole}/{first}/iter_{STEPS // 2}.pth'
    resumed = train(tmp_path, then, STEPS, load_from=start, resume=True)
    expected, found = weights(whole / first, STEPS), weights(tmp_path, STEPS)
    optimizer = resumed.optim_wrapper.optimizer
    fuses = torch.cuda.is_available() or torch.__version__ >= FIRST_ON_CPUS
    assert bool(optimizer.param_groups[0]['fused']) == ('fast' in then and fuses)
    assert all(moments['exp_avg'].stride() == parameter.stride() for parameter, moments in optimizer.state.items())
    if first == then:
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    else:
        moved = distance(expected, weights(whole / first, STEPS // 2))
        # bf16 moves the gradients of this network by 5 %, the options of the same precision by rounding of float32.
        limit = 1e-3 if ('amp' in first) == ('amp' in then) else 0.08
        assert moved > 0 and distance(expected, found) < limit * moved
