"""Timing of two or three sides in turns."""
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, Optional

import torch

Work = Callable[[], object]
WARM_UP = 3
"""Number of calls before the timing starts. The memory use of a training step is stable from the third."""
TURN = 0.2
"""Shortest duration of a turn in seconds. Shorter work is repeated."""


@dataclass
class Sides:
    """The work of each side of a row.

    Args:
        ours: Work of this package.
        mmpose: The same work of mmpose.
        check: Checks that the sides agree, and describes how far.
        official: The same work of the official code.
        prepare: Called with the name of a side before its turn, outside the timing, to change settings of the process.
    """
    ours: Work
    mmpose: Work
    check: Callable[[], str]
    official: Optional[Work] = None
    prepare: Callable[[str], None] = lambda side: None


@contextmanager
def exact_float32() -> Iterator[None]:
    """A context in which GPUs compute float32 in float32.

    By default cuDNN rounds the factors of convolutions to the 10 bits of TF32, which moves heatmaps by more than the
    sides may differ.
    """
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    try:
        yield
    finally:
        for switch, allowed in zip(switches, before):
            switch.allow_tf32 = allowed


@dataclass
class Row:
    """A row of the table.

    Args:
        name: Name of the work.
        goal: Lowest ratio mmpose / ours if above 1, else highest ratio ours / mmpose.
        make: Builds the sides for a device and the official code, or ``None`` without it.
    """
    name: str
    goal: Optional[float]
    make: Callable[..., Sides]

    def measure(self, rounds: int, device: str, official: Optional[object]) -> dict:
        """Return the medians of the sides in ms, and the median and the range of the ratios of the turns."""
        sides = self.make(device, official)
        with exact_float32():
            note = sides.check()
        works = {name: work for name, work in (('ours', sides.ours), ('mmpose', sides.mmpose),
                                               ('official', sides.official)) if work is not None}
        taken: Dict[str, list] = {name: [] for name in works}
        repeats = {}
        for name, work in works.items():
            sides.prepare(name)
            repeats[name] = _warm_up(work, device)
        for _ in range(rounds):
            for name, work in works.items():
                sides.prepare(name)
                taken[name].append(1000 * seconds(work, device, repeats[name]))
        ratios = [b / a for a, b in zip(taken['ours'], taken['mmpose'])]
        medians = {name: statistics.median(times) for name, times in taken.items()}
        return dict(row=self.name, unit='ms', goal=self.goal, **medians, ratio=statistics.median(ratios),
                    ratio_min=min(ratios), ratio_max=max(ratios), rounds=rounds, same=note)


def _warm_up(work: Work, device: str) -> int:
    """Run the work a few times and return how often a turn must repeat it."""
    taken = [seconds(work, device) for _ in range(WARM_UP)]
    return max(1, round(TURN / taken[-1]))


def seconds(work: Work, device: str, repeats: int = 1) -> float:
    """Return the mean seconds of a call, by the clock of the host or, on a GPU, by its events."""
    if device == 'cpu':
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - start) / repeats
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000 / repeats
