"""How long the threads of an operator spin while they wait for each other: briefly while the machine is busy.

torch divides an operator among threads of libgomp. A thread that has done its part spins for milliseconds before it
sleeps, which is the fastest way if every thread has a core. If another process has taken the core of one thread, the
others spin in vain and keep the cores busy that it waits for: beside three other processes on two cores, a training
step takes 13 times as long. Letting threads sleep at once (``OMP_WAIT_POLICY=passive``) costs a small network two
fifths of its speed on a quiet machine (docs/performance.md).

libgomp itself spins a hundred turns only while a process has more of its threads than there are cores
(``gomp_throttled_spin_count_var`` in libgomp's ``env.c``). :class:`BusyWatch` uses that: it measures how long the
threads of this process are ready and have no core, and while that is long, it holds additional threads, which sleep.
Operators are divided among as many threads as before, so results do not change.
"""
import os
import threading
import time
from typing import Dict, List, NamedTuple, Optional

import torch

SETTINGS = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
"""Environment variables with which users choose themselves how libgomp waits."""
INTERVAL = 0.5
"""Seconds between two measurements."""
BUSY = 0.25
"""Share of the time in which threads are ready to run but have no core, above which the machine counts as busy. The
training's own data worker beside two threads on two cores makes it 0.08 to 0.16, which is not busy."""
QUIET_SECONDS = 5.
"""How long the machine must have been quiet before threads spin for long again."""
GRAIN = 2**15
"""Elements of a tensor for which torch uses one more thread (``at::internal::GRAIN_SIZE``)."""


class Times(NamedTuple):
    """Nanoseconds that a thread has run, and that it was ready and had no core."""
    ran: int
    waited: int


def thread_times() -> Optional[Dict[str, Times]]:
    """The times of all threads of this process by their ids; ``None`` where the system does not tell."""
    try:
        names, found = os.listdir('/proc/self/task'), {}
    except OSError:
        return None
    for name in names:
        try:
            with open(f'/proc/self/task/{name}/schedstat', encoding='ascii') as file:
                ran, waited, _ = file.read().split()
        except (OSError, ValueError):  # the thread has ended, or the kernel keeps no such times
            continue
        found[name] = Times(int(ran), int(waited))
    return found or None


def share_waited(before: Dict[str, Times], after: Dict[str, Times]) -> float:
    """Share, 0 to 1, of the time in which threads were ready to run but had no core; 0 if none was ready."""
    both = before.keys() & after.keys()
    waited = sum(after[name].waited - before[name].waited for name in both)
    ready = waited + sum(after[name].ran - before[name].ran for name in both)
    return waited / ready if ready else 0.


def uses_libgomp() -> bool:
    """Whether libgomp is loaded into this process."""
    try:
        with open('/proc/self/maps', encoding='utf-8', errors='replace') as file:
            return any('libgomp' in line for line in file)
    except OSError:
        return False


class MoreThreads:
    """Additional threads of libgomp, which sleep: as many as make it spin briefly."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._holders: List[threading.Thread] = []

    @property
    def are_held(self) -> bool:
        return bool(self._holders)

    def hold(self) -> None:
        """Start them. Nothing happens if they are there, or if operators use one thread and nothing waits."""
        threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
        if self.are_held or threads == 1:
            return
        self._end.clear()
        # The first operator in a Python thread gives it a pool of its own, of which that thread itself is one.
        needed = max(cores - threads, 0) // (threads - 1) + 1
        started = [threading.Semaphore(0) for _ in range(needed)]
        self._holders = [threading.Thread(target=self._sleep, args=(threads, one), daemon=True,
                                          name='mmpose_mspn more threads') for one in started]
        for holder in self._holders:
            holder.start()
        for one in started:
            one.acquire()

    def _sleep(self, threads: int, started: threading.Semaphore) -> None:
        try:
            torch.empty(threads * GRAIN).fill_(0)
        finally:
            started.release()
        self._end.wait()

    def release(self) -> None:
        """End them."""
        self._end.set()
        for holder in self._holders:
            holder.join()
        self._holders = []


class BusyWatch:
    """Lets libgomp's threads spin briefly while other processes need the cores.

    As a context manager it watches until the end of the block, in a thread of its own. It does nothing where the user
    has chosen how threads wait (:data:`SETTINGS`), without libgomp, and where Linux's ``schedstat`` is missing.
    """

    def __init__(self) -> None:
        self.more_threads = MoreThreads()
        self._busy_at = 0.
        self._end = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> 'BusyWatch':
        if not any(name in os.environ for name in SETTINGS) and uses_libgomp() and thread_times() is not None:
            self._end.clear()
            self._thread = threading.Thread(target=self._watch, daemon=True, name='mmpose_mspn busy watch')
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None
        self.more_threads.release()

    def _watch(self) -> None:
        before = thread_times()
        while not self._end.wait(INTERVAL):
            after = thread_times()
            if before is not None and after is not None:
                self.update(share_waited(before, after), time.monotonic())
            before = after

    def update(self, share: float, now: float) -> None:
        """Take note of a measurement.

        Args:
            share: See :func:`share_waited`.
            now: Seconds, on a clock that only moves forward.
        """
        if share > BUSY:
            self._busy_at = now
            self.more_threads.hold()
        elif self.more_threads.are_held and now - self._busy_at >= QUIET_SECONDS:
            self.more_threads.release()
