"""libgomp's threads sleep early while the machine is busy, and only then."""
import os
import subprocess
import sys
import threading

import pytest

from mmpose_mspn.utils import waiting
from mmpose_mspn.utils.waiting import BusyWatch, Times, share_waited
from tests.launching import python


def test_the_share_counts_threads_that_lived_all_the_time():
    before = {'1': Times(100, 50), '2': Times(10, 10), 'ended': Times(999, 0)}
    after = {'1': Times(160, 70), '2': Times(10, 30), 'new': Times(500, 500)}
    assert share_waited(before, after) == pytest.approx((20 + 20) / (60 + 40))
    assert share_waited(before, before) == 0


class Held:
    """Records what the watch asks for."""

    def __init__(self) -> None:
        self.are_held = False

    def hold(self) -> None:
        self.are_held = True

    def release(self) -> None:
        self.are_held = False


def test_threads_are_held_from_the_first_busy_moment_until_quiet_has_lasted():
    watch = BusyWatch()
    watch.more_threads = Held()
    states = []
    for share, now in [(0, 0), (.24, 1), (.5, 2), (0, 3), (.5, 4), (0, 5), (0, 8.9), (0, 9), (0, 30), (.26, 31)]:
        watch.update(share, now)
        states.append(watch.more_threads.are_held)
    assert states == [False, False, True, True, True, True, True, False, False, True]


SLEEPS = '''
import importlib.util, os, sys, time, torch
spec = importlib.util.spec_from_file_location('waiting', sys.argv[1])
waiting = importlib.util.module_from_spec(spec)
spec.loader.exec_module(waiting)
torch.set_num_threads(2)
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:2])
before = set(os.listdir('/proc/self/task'))
tensor = torch.zeros(2**16)
worker, = set(os.listdir('/proc/self/task')) - before

def sleeps(turns=300):
    """How often libgomp's thread falls asleep in gaps of 0.3 ms between operators."""
    def count():
        text = open(f'/proc/self/task/{worker}/status').read()
        return int(text.split('voluntary_ctxt_switches:')[1].split()[0])
    start = count()
    for _ in range(turns):
        tensor.add_(1)
        end = time.perf_counter() + 3e-4
        while time.perf_counter() < end:
            pass
    return (count() - start) / turns

more = waiting.MoreThreads()
spun = min(sleeps() for _ in range(9))  # other processes hold up operators now and then
more.hold()
number = len(os.listdir('/proc/self/task'))
more.hold()
assert len(os.listdir('/proc/self/task')) == number
slept = sleeps()
more.release()
print(spun, slept, min(sleeps() for _ in range(9)), number - len(os.listdir('/proc/self/task')))
'''


@pytest.mark.skipif(not waiting.uses_libgomp(), reason='torch uses no libgomp here')
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='one core')
def test_libgomps_thread_sleeps_between_operators_while_more_threads_are_held():
    """In a new interpreter, because libgomp reads its settings when it is loaded."""
    env = {name: value for name, value in os.environ.items()
           if name not in (*waiting.SETTINGS, 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
    done = subprocess.run([sys.executable, '-c', SLEEPS, waiting.__file__], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spun, slept, again, threads = map(float, done.stdout.split())
    # It spins for milliseconds otherwise, and sleeps only where something else held up the operators.
    assert slept > 0.9 and max(spun, again) < 0.7 * slept
    assert threads == 2  # a holder and its thread


WATCHED = '''
import sys, threading
from mmpose_mspn.apis.command_line import run_tool
def main():
    print([one.name for one in threading.enumerate() if 'watch' in one.name])
    {}
run_tool(main)
'''


@pytest.mark.parametrize('settings, names', [
    (dict(OMP_WAIT_POLICY='', GOMP_SPINCOUNT=''), []), (dict(GOMP_SPINCOUNT='5'), [])])
def test_the_users_own_setting_wins(settings, names):
    done = python('-c', WATCHED.format(''), **settings)
    assert done.stdout.strip() == str(names), done.stderr


@pytest.mark.skipif(not waiting.uses_libgomp(), reason='torch uses no libgomp here')
@pytest.mark.parametrize('body', ['', "raise ValueError('wrong')"])
def test_tools_watch_while_they_run(monkeypatch, body):
    for name in waiting.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    done = python('-c', WATCHED.format(body))
    assert done.stdout.strip() == "['mmpose_mspn busy watch']", done.stderr
    assert done.returncode == (1 if body else 0)


def test_nothing_is_left_after_the_block(monkeypatch):
    for name in waiting.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    before = threading.active_count()
    with BusyWatch() as watch:
        watch.more_threads.hold()
    assert threading.active_count() == before
