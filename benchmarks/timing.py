"""Turn-by-turn timing of two or three sides."""
import statistics
import time
from dataclasses import dataclass
from typing import Callable, Dict, Optional

import torch

Work = Callable[[], object]
WARM_UP = 3
"""Calls before the clock runs: the memory of a training step settles in the third."""
TURN = 0.2
"""Seconds that a turn lasts at least: what takes milliseconds is repeated."""


@dataclass
class Sides:
    """Each side's work, and a check that says in words how far they agree.

    Before its turn, ``prepare`` gets a side's name, off the clock, for what the whole process has only one of.
    """
    ours: Work
    mmpose: Work
    check: Callable[[], str]
    official: Optional[Work] = None
    prepare: Callable[[str], None] = lambda side: None


@dataclass
class Row:
    """A row of the table.

    Args:
        name: What is done.
        goal: Ratio mmpose / ours to reach; below 1 a ratio ours / mmpose not to pass.
        make: Sets the work up for a device, and the official network where there is one.
    """
    name: str
    goal: Optional[float]
    make: Callable[..., Sides]

    def measure(self, rounds: int, device: str, official: Optional[object]) -> dict:
        """Medians in ms, and the median of the turns' ratios."""
        sides = self.make(device, official)
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
    """How often a turn repeats the work."""
    taken = [seconds(work, device) for _ in range(WARM_UP)]
    return max(1, round(TURN / taken[-1]))


def seconds(work: Work, device: str, repeats: int = 1) -> float:
    """Of one call, the mean of several: of the host's clock; on a GPU by its own events."""
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
