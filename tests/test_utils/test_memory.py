"""Available memory by files as Linux writes them."""
import math
from pathlib import Path

import pytest

from mmpose_mspn.utils.memory import available_memory


def write(root: Path, files: dict) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{content}\n')


def available(root: Path) -> float:
    return available_memory(str(root / 'proc'), str(root / 'groups'))


@pytest.fixture
def machine(tmp_path):
    """A machine with 5000 KiB available."""
    write(tmp_path, {'proc/meminfo': 'MemTotal: 9000 kB\nMemFree:  10 kB\nMemAvailable:    5000 kB'})
    return tmp_path


def test_a_machine_without_control_groups(machine):
    assert available(machine) == 5000 * 1024


def test_nothing_known(tmp_path):
    assert available(tmp_path) == math.inf


def test_a_group_within_limited_ones(machine):
    """The job has a limit, the task in it has none; a quarter of what the job uses can be dropped."""
    write(machine, {
        'proc/self/cgroup': '0::/slurm/job_7/task_0',
        'groups/slurm/job_7/task_0/memory.max': 'max', 'groups/slurm/job_7/task_0/memory.current': 300_000,
        'groups/slurm/job_7/memory.max': 1_000_000, 'groups/slurm/job_7/memory.current': 400_000,
        'groups/slurm/job_7/memory.stat': 'anon 7\ninactive_file 100000\nactive_file 5',
        'groups/slurm/memory.max': 9_000_000, 'groups/slurm/memory.current': 400_000,
    })
    assert available(machine) == 700_000


def test_a_container_of_the_first_version(machine):
    """It sees its own group at the root, under another path than /proc tells; the largest number means no limit."""
    write(machine, {
        'proc/self/cgroup': '12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc',
        'groups/memory/memory.limit_in_bytes': 2_000_000, 'groups/memory/memory.usage_in_bytes': 1_900_000,
        'groups/memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 50000',
    })
    assert available(machine) == 150_000
    write(machine, {'groups/memory/memory.limit_in_bytes': 9223372036854771712})
    assert available(machine) == 5000 * 1024


def test_more_used_than_allowed_is_nothing_left(machine):
    write(machine, {'proc/self/cgroup': '0::/', 'groups/memory.max': 100, 'groups/memory.current': 101})
    assert available(machine) == 0


def test_this_machine():
    assert available_memory() > 0
