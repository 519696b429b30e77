"""What is available and what a call takes."""

import mmap
import time

import pytest

from mmreid.utils import memory
from mmreid.utils.memory import available_bytes, measured, peak_extra_bytes, seconds


def test_available_bytes_is_plausible():
    assert 2**20 < available_bytes() < 2**50


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Texts of files by their paths, instead of those of this machine."""
    texts = {}

    class Files(type(tmp_path)):

        def read_text(self, *args, **kwargs):
            if str(self) not in texts:
                raise FileNotFoundError
            return texts[str(self)]

    monkeypatch.setattr(memory, 'Path', Files)
    return texts


def test_control_group_counts(files):
    assert available_bytes() == memory.UNKNOWN_BYTES
    files['/proc/meminfo'] = 'MemTotal: 99 kB\nMemAvailable: 50 kB\n'
    assert available_bytes() == 50 * 1024
    files.update({'/sys/fs/cgroup/memory.max': '5000', '/sys/fs/cgroup/memory.current': '2000'})
    assert available_bytes() == 3000
    # Files in the cache of the group are given up when memory is needed.
    files['/sys/fs/cgroup/memory.stat'] = 'anon 100\ninactive_file 1500\n'
    assert available_bytes() == 4500
    # The group of the process, and those around it.
    files['/proc/self/cgroup'] = '0::/system/job_7\n'
    files.update({'/sys/fs/cgroup/system/job_7/memory.max': 'max', '/sys/fs/cgroup/system/job_7/memory.current': '1'})
    assert available_bytes() == 4500
    files.update({'/sys/fs/cgroup/system/memory.max': '900', '/sys/fs/cgroup/system/memory.current': '1000'})
    assert available_bytes() == 0


def test_first_version_of_control_groups(files):
    files['/proc/meminfo'] = 'MemAvailable: 50 kB\n'
    files['/proc/self/cgroup'] = '4:memory:/slurm/job\n2:cpu,cpuacct:/\n'
    folder = '/sys/fs/cgroup/memory/slurm/job/'
    files.update({f'{folder}memory.limit_in_bytes': '700', f'{folder}memory.usage_in_bytes': '600',
                  f'{folder}memory.stat': 'total_inactive_file 50\n'})
    assert available_bytes() == 150


def test_time_and_memory_of_a_call():
    size = 200 * 2**20

    def fill():  # pages of its own, not those that the allocator has kept
        with mmap.mmap(-1, size) as pages:
            for start in range(0, size, 2**20):
                pages[start:start + 2**20] = b'x' * 2**20

    found = peak_extra_bytes(fill)
    if found is None:
        pytest.skip('this system does not tell the peak of a process')
    assert 0.9 * size < found < 1.5 * size
    with measured() as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 2 and cost.peak_extra_bytes < size / 2 and cost.peak_bytes > 0
    assert seconds(lambda: time.sleep(0.05)) >= 0.05


def test_systems_without_proc(monkeypatch):
    monkeypatch.setattr(memory, '_reset_peak', lambda device: None)
    with measured() as cost:
        pass
    assert cost.peak_bytes is None and cost.peak_extra_bytes is None
