"""Fixtures of all tests. Importing the package applies its compatibility fixes before mmpose is imported."""
import ctypes
import gc
import resource
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

import mmpose_mspn  # noqa: F401

init_default_scope('mmpose')  # also for fixtures of modules, which are set up before those of functions

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
SHARED = Path(__file__).parents[2] / 'shared' / 'data'


def pytest_collection_finish() -> None:
    """Leave what is imported out of later collections, each of which would take a quarter of a second for it."""
    gc.collect()
    gc.freeze()


class Memory:
    """This process's memory, which is returned to the system when it has grown.

    Models, runners and their hooks refer to each other, so they stay until they are collected; and a test that trains
    with ``FreedMemoryHook(keep=True)`` in this process lets glibc keep all freed memory from then on.
    """
    GROWTH = 200 * 2**20
    STATUS = Path('/proc/self/statm')
    after = 0

    @classmethod
    def resident(cls) -> int:
        """Bytes; 0 where the system does not say."""
        return int(cls.STATUS.read_text().split()[1]) * resource.getpagesize() if cls.STATUS.exists() else 0

    @classmethod
    def return_what_has_grown(cls) -> None:
        if cls.resident() < cls.after + cls.GROWTH:
            return
        gc.collect()
        with suppress(AttributeError, OSError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
        cls.after = cls.resident()


def pytest_runtest_logfinish() -> None:
    """After each test, when its fixtures are gone."""
    Memory.return_what_has_grown()


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how many tests were left out, and why."""
    skipped = terminalreporter.stats.get('skipped', [])
    reasons = Counter(report.longrepr[2].removeprefix('Skipped: ') for report in skipped)
    if reasons:
        terminalreporter.section(f'{len(skipped)} tests were left out')
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f'{count:5} {reason}')


@pytest.fixture(autouse=True)
def default_scope_and_seed():
    init_default_scope('mmpose')
    torch.manual_seed(0)


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=NEEDS_GPU)])
def device(request, monkeypatch) -> torch.device:
    """The CPU and, where there is one, a GPU that computes float32 in float32, not in TF32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device(request.param)


def _sample(name: str) -> Path:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f'the photographs of {name} are not in ../shared/data')
    return path


@pytest.fixture
def coco_sample() -> Path:
    """Four real photographs with 14 annotated people and detector boxes."""
    return _sample('coco_sample')


@pytest.fixture
def mpii_sample() -> Path:
    """Five real photographs with MPII annotations."""
    return _sample('mpii_sample')
